# points: 2.5, lost: evenly shared
nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
set -- $ENDPOINTS
port() { nat -A PREROUTING -d $NODE_ADDRESS -p tcp --dport $NODE_PORT "$@"; }
port -j DNAT --to-destination $1
nat -A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE
