# web-1 (pod): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1'
ip -batch - <<'END'
link set dev lo up
address add 10.244.1.2/24 dev eth0
route add 0.0.0.0/0 via 10.244.1.1 dev eth0
route add 10.244.1.128/26 via 10.244.1.128 dev eth0 onlink
neighbour replace 10.244.1.1 lladdr 0a:58:0a:f4:01:01 dev eth0 nud permanent
neighbour replace 10.244.1.128 lladdr 0a:58:0a:f4:01:80 dev eth0 nud permanent
END
