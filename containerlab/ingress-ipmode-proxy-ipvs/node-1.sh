# node-1 (node): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv4/ip_forward=1' 'net/ipv4/conf/all/rp_filter=0' 'net/ipv4/conf/default/rp_filter=0' 'net/bridge/bridge-nf-call-iptables=1' 'net/ipv6/conf/all/disable_ipv6=1'
ip -batch - <<'END'
link add name cni0 address 0a:58:0a:f4:01:01 type bridge mcast_snooping 0 vlan_default_pvid 0
link set dev cni0 up
link set dev veth-shop-1 master cni0
link set dev veth-api-1 master cni0
link set dev veth-client master cni0
link set dev lo up
address add 172.18.0.11/16 dev eth0
address add 10.244.1.1/24 dev cni0
route add 10.244.2.0/24 via 172.18.0.12 dev eth0
route add 172.18.255.128/26 via 172.18.255.128 dev eth0 onlink
route add 203.0.113.10/32 via 172.18.254.1 dev eth0 onlink
route add 10.244.1.128/26 via 10.244.1.128 dev cni0 onlink
route add 0.0.0.0/0 dev eth0
neighbour replace 172.18.0.12 lladdr 0a:58:ac:12:00:0c dev eth0 nud permanent
neighbour replace 172.18.255.128 lladdr 0a:58:ac:12:ff:80 dev eth0 nud permanent
neighbour replace 172.18.254.1 lladdr 0a:58:ac:12:fe:01 dev eth0 nud permanent
neighbour replace 10.244.1.2 lladdr 0a:58:0a:f4:01:02 dev cni0 nud permanent
neighbour replace 10.244.1.3 lladdr 0a:58:0a:f4:01:03 dev cni0 nud permanent
neighbour replace 10.244.1.128 lladdr 0a:58:0a:f4:01:80 dev cni0 nud permanent
END
bridge -batch - <<'END'
link set dev veth-shop-1 hairpin on
fdb replace 0a:58:0a:f4:01:02 dev veth-shop-1 master static
link set dev veth-api-1 hairpin on
fdb replace 0a:58:0a:f4:01:03 dev veth-api-1 master static
link set dev veth-client hairpin on
fdb replace 0a:58:0a:f4:01:80 dev veth-client master static
END

# kube-proxy 1.30.3, ipvs mode, on node node-1: a full sync

# sysctls
sysctl -qw net/ipv4/vs/conntrack=1
sysctl -qw net/ipv4/vs/expire_nodest_conn=1
sysctl -qw net/ipv4/vs/expire_quiescent_template=1
sysctl -qw net/ipv4/ip_forward=1

# sets of addresses and ports that the rules ask
ipset restore -exist <<'END'
create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2
add KUBE-LOOP-BACK 10.244.1.3,tcp:9090,10.244.1.3
create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.20,tcp:80
add KUBE-CLUSTER-IP 10.96.0.30,tcp:8080
create KUBE-EXTERNAL-IP hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-EXTERNAL-IP-LOCAL hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-LOAD-BALANCER hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-LOAD-BALANCER-LOCAL hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-LOAD-BALANCER-FW hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-LOAD-BALANCER-SOURCE-IP hash:ip,port,ip family inet hashsize 1024 maxelem 65536
create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet hashsize 1024 maxelem 65536
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 30080
add KUBE-NODE-PORT-TCP 30090
create KUBE-NODE-PORT-LOCAL-TCP bitmap:port range 0-65535
create KUBE-NODE-PORT-UDP bitmap:port range 0-65535
create KUBE-NODE-PORT-LOCAL-UDP bitmap:port range 0-65535
create KUBE-NODE-PORT-SCTP-HASH hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-NODE-PORT-LOCAL-SCTP-HASH hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-HEALTH-CHECK-NODE-PORT bitmap:port range 0-65535
create KUBE-IPVS-IPS hash:ip family inet hashsize 1024 maxelem 65536
add KUBE-IPVS-IPS 10.96.0.20
add KUBE-IPVS-IPS 10.96.0.30
END

# chains and rules
iptables-restore --noflush --counters <<'END'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT
COMMIT
END

# jumps from the built-in chains; each goes to the head of its chain
iptables -t nat -I OUTPUT -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t nat -I PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t nat -I POSTROUTING -m comment --comment 'kubernetes postrouting rules' -j KUBE-POSTROUTING
iptables -t filter -I FORWARD -m comment --comment 'kubernetes forwarding rules' -j KUBE-FORWARD
iptables -t filter -I INPUT -m comment --comment 'kubernetes health check rules' -j KUBE-NODE-PORT
iptables -t filter -I INPUT -m comment --comment 'kube-proxy firewall rules' -j KUBE-PROXY-FIREWALL
iptables -t filter -I FORWARD -m comment --comment 'kube-proxy firewall rules' -j KUBE-PROXY-FIREWALL
iptables -t filter -I INPUT -m comment --comment 'kubernetes ipvs access filter' -j KUBE-IPVS-FILTER
iptables -t filter -I OUTPUT -m comment --comment 'kubernetes ipvs access filter' -j KUBE-IPVS-OUT-FILTER

# addresses that make the node accept the traffic; the device stays down
ip link add kube-ipvs0 type dummy
ip address add 10.96.0.20/32 dev kube-ipvs0
ip address add 10.96.0.30/32 dev kube-ipvs0

# virtual servers and their real servers
ipvsadm -R <<'END'
-A -t 10.96.0.20:80 -s rr
-a -t 10.96.0.20:80 -r 10.244.1.2:8080 -m -w 1
-a -t 10.96.0.20:80 -r 10.244.2.2:8080 -m -w 1
-A -t 172.18.0.11:30080 -s rr
-a -t 172.18.0.11:30080 -r 10.244.1.2:8080 -m -w 1
-a -t 172.18.0.11:30080 -r 10.244.2.2:8080 -m -w 1
-A -t 10.244.1.1:30080 -s rr
-a -t 10.244.1.1:30080 -r 10.244.1.2:8080 -m -w 1
-a -t 10.244.1.1:30080 -r 10.244.2.2:8080 -m -w 1
-A -t 10.96.0.30:8080 -s rr
-a -t 10.96.0.30:8080 -r 10.244.1.3:9090 -m -w 1
-a -t 10.96.0.30:8080 -r 10.244.2.3:9090 -m -w 1
-A -t 172.18.0.11:30090 -s rr
-a -t 172.18.0.11:30090 -r 10.244.1.3:9090 -m -w 1
-a -t 172.18.0.11:30090 -r 10.244.2.3:9090 -m -w 1
-A -t 10.244.1.1:30090 -s rr
-a -t 10.244.1.1:30090 -r 10.244.1.3:9090 -m -w 1
-a -t 10.244.1.1:30090 -r 10.244.2.3:9090 -m -w 1
END
