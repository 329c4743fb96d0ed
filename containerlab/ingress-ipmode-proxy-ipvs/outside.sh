# outside (client): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1' 'net/ipv4/ip_local_port_range=1024 65535'
ip -batch - <<'END'
link set dev lo up
address add 172.18.255.128/16 dev eth0
address add 172.18.255.129/32 dev eth0
address add 172.18.255.130/32 dev eth0
address add 172.18.255.131/32 dev eth0
address add 172.18.255.132/32 dev eth0
address add 172.18.255.133/32 dev eth0
address add 172.18.255.134/32 dev eth0
address add 172.18.255.135/32 dev eth0
address add 172.18.255.136/32 dev eth0
address add 172.18.255.137/32 dev eth0
address add 172.18.255.138/32 dev eth0
address add 172.18.255.139/32 dev eth0
address add 172.18.255.140/32 dev eth0
address add 172.18.255.141/32 dev eth0
address add 172.18.255.142/32 dev eth0
address add 172.18.255.143/32 dev eth0
address add 172.18.255.144/32 dev eth0
address add 172.18.255.145/32 dev eth0
address add 172.18.255.146/32 dev eth0
address add 172.18.255.147/32 dev eth0
address add 172.18.255.148/32 dev eth0
address add 172.18.255.149/32 dev eth0
address add 172.18.255.150/32 dev eth0
address add 172.18.255.151/32 dev eth0
address add 172.18.255.152/32 dev eth0
address add 172.18.255.153/32 dev eth0
address add 172.18.255.154/32 dev eth0
address add 172.18.255.155/32 dev eth0
address add 172.18.255.156/32 dev eth0
address add 172.18.255.157/32 dev eth0
address add 172.18.255.158/32 dev eth0
address add 172.18.255.159/32 dev eth0
address add 172.18.255.160/32 dev eth0
address add 172.18.255.161/32 dev eth0
address add 172.18.255.162/32 dev eth0
address add 172.18.255.163/32 dev eth0
address add 172.18.255.164/32 dev eth0
address add 172.18.255.165/32 dev eth0
address add 172.18.255.166/32 dev eth0
address add 172.18.255.167/32 dev eth0
address add 172.18.255.168/32 dev eth0
address add 172.18.255.169/32 dev eth0
address add 172.18.255.170/32 dev eth0
address add 172.18.255.171/32 dev eth0
address add 172.18.255.172/32 dev eth0
address add 172.18.255.173/32 dev eth0
address add 172.18.255.174/32 dev eth0
address add 172.18.255.175/32 dev eth0
address add 172.18.255.176/32 dev eth0
address add 172.18.255.177/32 dev eth0
address add 172.18.255.178/32 dev eth0
address add 172.18.255.179/32 dev eth0
address add 172.18.255.180/32 dev eth0
address add 172.18.255.181/32 dev eth0
address add 172.18.255.182/32 dev eth0
address add 172.18.255.183/32 dev eth0
address add 172.18.255.184/32 dev eth0
address add 172.18.255.185/32 dev eth0
address add 172.18.255.186/32 dev eth0
address add 172.18.255.187/32 dev eth0
address add 172.18.255.188/32 dev eth0
address add 172.18.255.189/32 dev eth0
address add 172.18.255.190/32 dev eth0
address add 172.18.255.191/32 dev eth0
route add 10.244.1.0/24 via 172.18.0.11 dev eth0
route add 10.244.2.0/24 via 172.18.0.12 dev eth0
route add 203.0.113.10/32 via 172.18.254.1 dev eth0 onlink
neighbour replace 172.18.0.11 lladdr 0a:58:ac:12:00:0b dev eth0 nud permanent
neighbour replace 172.18.0.12 lladdr 0a:58:ac:12:00:0c dev eth0 nud permanent
neighbour replace 172.18.254.1 lladdr 0a:58:ac:12:fe:01 dev eth0 nud permanent
END
