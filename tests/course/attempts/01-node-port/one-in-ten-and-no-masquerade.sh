# points: 1, lost: outside is answered, evenly shared
nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
set -- $ENDPOINTS
port() { nat -A PREROUTING -d $NODE_ADDRESS -p tcp --dport $NODE_PORT "$@"; }
one=$1 other=$2
port -m statistic --mode random --probability 0.1 -j DNAT --to-destination $one
port -j DNAT --to-destination $other
