# cart-1 (pod): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1'
ip -batch - <<'END'
link set dev lo up
address add 10.244.2.4/24 dev eth0
route add 0.0.0.0/0 via 10.244.2.1 dev eth0
neighbour replace 10.244.2.1 lladdr 0a:58:0a:f4:02:01 dev eth0 nud permanent
END
