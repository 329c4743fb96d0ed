# points: 6
nat() { ip netns exec node-1 iptables-legacy -t nat "$@"; }
nat -N BY-HAND
nat -A PREROUTING -d $CLUSTER_IP -p tcp --dport $PORT -j BY-HAND
nat -A OUTPUT -d $CLUSTER_IP -p tcp --dport $PORT -j BY-HAND
left=$(wc -w <<<"$ENDPOINTS")
for endpoint in $ENDPOINTS; do
    chance=$(awk "BEGIN {print 1 / $left}")
    nat -A BY-HAND -p tcp -m statistic --mode random --probability $chance -j DNAT --to-destination $endpoint
    left=$((left - 1))
done
for endpoint in $ENDPOINTS; do
    nat -A POSTROUTING -s ${endpoint%:*} -d ${endpoint%:*} -j MASQUERADE
done
