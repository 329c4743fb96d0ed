# client (client): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1' 'net/ipv4/ip_local_port_range=1024 65535'
ip -batch - <<'END'
link set dev lo up
address add 10.244.1.128/24 dev eth0
address add 10.244.1.129/32 dev eth0
address add 10.244.1.130/32 dev eth0
address add 10.244.1.131/32 dev eth0
address add 10.244.1.132/32 dev eth0
address add 10.244.1.133/32 dev eth0
address add 10.244.1.134/32 dev eth0
address add 10.244.1.135/32 dev eth0
address add 10.244.1.136/32 dev eth0
address add 10.244.1.137/32 dev eth0
address add 10.244.1.138/32 dev eth0
address add 10.244.1.139/32 dev eth0
address add 10.244.1.140/32 dev eth0
address add 10.244.1.141/32 dev eth0
address add 10.244.1.142/32 dev eth0
address add 10.244.1.143/32 dev eth0
address add 10.244.1.144/32 dev eth0
address add 10.244.1.145/32 dev eth0
address add 10.244.1.146/32 dev eth0
address add 10.244.1.147/32 dev eth0
address add 10.244.1.148/32 dev eth0
address add 10.244.1.149/32 dev eth0
address add 10.244.1.150/32 dev eth0
address add 10.244.1.151/32 dev eth0
address add 10.244.1.152/32 dev eth0
address add 10.244.1.153/32 dev eth0
address add 10.244.1.154/32 dev eth0
address add 10.244.1.155/32 dev eth0
address add 10.244.1.156/32 dev eth0
address add 10.244.1.157/32 dev eth0
address add 10.244.1.158/32 dev eth0
address add 10.244.1.159/32 dev eth0
address add 10.244.1.160/32 dev eth0
address add 10.244.1.161/32 dev eth0
address add 10.244.1.162/32 dev eth0
address add 10.244.1.163/32 dev eth0
address add 10.244.1.164/32 dev eth0
address add 10.244.1.165/32 dev eth0
address add 10.244.1.166/32 dev eth0
address add 10.244.1.167/32 dev eth0
address add 10.244.1.168/32 dev eth0
address add 10.244.1.169/32 dev eth0
address add 10.244.1.170/32 dev eth0
address add 10.244.1.171/32 dev eth0
address add 10.244.1.172/32 dev eth0
address add 10.244.1.173/32 dev eth0
address add 10.244.1.174/32 dev eth0
address add 10.244.1.175/32 dev eth0
address add 10.244.1.176/32 dev eth0
address add 10.244.1.177/32 dev eth0
address add 10.244.1.178/32 dev eth0
address add 10.244.1.179/32 dev eth0
address add 10.244.1.180/32 dev eth0
address add 10.244.1.181/32 dev eth0
address add 10.244.1.182/32 dev eth0
address add 10.244.1.183/32 dev eth0
address add 10.244.1.184/32 dev eth0
address add 10.244.1.185/32 dev eth0
address add 10.244.1.186/32 dev eth0
address add 10.244.1.187/32 dev eth0
address add 10.244.1.188/32 dev eth0
address add 10.244.1.189/32 dev eth0
address add 10.244.1.190/32 dev eth0
address add 10.244.1.191/32 dev eth0
route add 0.0.0.0/0 via 10.244.1.1 dev eth0
neighbour replace 10.244.1.1 lladdr 0a:58:0a:f4:01:01 dev eth0 nud permanent
neighbour replace 10.244.1.2 lladdr 0a:58:0a:f4:01:02 dev eth0 nud permanent
neighbour replace 10.244.1.3 lladdr 0a:58:0a:f4:01:03 dev eth0 nud permanent
neighbour replace 10.244.1.4 lladdr 0a:58:0a:f4:01:04 dev eth0 nud permanent
END
