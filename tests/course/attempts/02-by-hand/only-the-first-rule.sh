# points: 2, lost: every call is answered, evenly shared, a pod reaches itself
nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
set -- $ENDPOINTS
for chain in PREROUTING OUTPUT; do
    nat -A $chain -d $CLUSTER_IP -p tcp --dport $PORT -m statistic --mode random --probability 0.2 -j DNAT --to-destination $1
done
