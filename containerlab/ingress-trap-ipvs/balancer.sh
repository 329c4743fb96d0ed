# balancer (balancer): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1' 'net/ipv4/ip_local_port_range=1024 65535'
ip -batch - <<'END'
link set dev lo up
address add 172.18.254.1/16 dev eth0
address add 203.0.113.10/32 dev eth0
route add 10.244.1.0/24 via 172.18.0.11 dev eth0
route add 10.244.2.0/24 via 172.18.0.12 dev eth0
route add 172.18.255.128/26 via 172.18.255.128 dev eth0 onlink
neighbour replace 172.18.0.11 lladdr 0a:58:ac:12:00:0b dev eth0 nud permanent
neighbour replace 172.18.0.12 lladdr 0a:58:ac:12:00:0c dev eth0 nud permanent
neighbour replace 172.18.255.128 lladdr 0a:58:ac:12:ff:80 dev eth0 nud permanent
END
