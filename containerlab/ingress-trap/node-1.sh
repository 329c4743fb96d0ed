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

# kube-proxy 1.30.3, iptables mode, on node node-1: a full sync

# sysctls
sysctl -qw net/ipv4/conf/all/route_localnet=1

# chains and rules
iptables-restore --noflush --counters <<'END'
*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-FIREWALL - [0:0]
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-BILYYKAKWI7RYELB - [0:0]
:KUBE-SVC-BILYYKAKWI7RYELB - [0:0]
:KUBE-SEP-N4LBNHTMZL2HRM5O - [0:0]
:KUBE-SEP-DYHYNQZTFLB6H7EF - [0:0]
:KUBE-EXT-KKDGWRPDK6Z5NCHS - [0:0]
:KUBE-SVC-KKDGWRPDK6Z5NCHS - [0:0]
:KUBE-SEP-R6M3VD42AX2BMDT6 - [0:0]
:KUBE-SEP-R7DOAUJAF2FFISRF - [0:0]
-A KUBE-SERVICES -m comment --comment "default/shop:http cluster IP" -m tcp -p tcp -d 10.96.0.20 --dport 80 -j KUBE-SVC-BILYYKAKWI7RYELB
-A KUBE-SERVICES -m comment --comment "default/api:http cluster IP" -m tcp -p tcp -d 10.96.0.30 --dport 8080 -j KUBE-SVC-KKDGWRPDK6Z5NCHS
-A KUBE-SERVICES -m comment --comment "default/api:http loadbalancer IP" -m tcp -p tcp -d 203.0.113.10 --dport 8080 -j KUBE-EXT-KKDGWRPDK6Z5NCHS
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -m comment --comment default/shop:http -m tcp -p tcp --dport 30080 -j KUBE-EXT-BILYYKAKWI7RYELB
-A KUBE-NODEPORTS -m comment --comment default/api:http -m tcp -p tcp --dport 30090 -j KUBE-EXT-KKDGWRPDK6Z5NCHS
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
-A KUBE-EXT-BILYYKAKWI7RYELB -m comment --comment "masquerade traffic for default/shop:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-BILYYKAKWI7RYELB -j KUBE-SVC-BILYYKAKWI7RYELB
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http cluster IP" -m tcp -p tcp -d 10.96.0.20 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http -> 10.244.1.2:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-N4LBNHTMZL2HRM5O
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http -> 10.244.2.2:8080" -j KUBE-SEP-DYHYNQZTFLB6H7EF
-A KUBE-SEP-N4LBNHTMZL2HRM5O -m comment --comment default/shop:http -s 10.244.1.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-N4LBNHTMZL2HRM5O -m comment --comment default/shop:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.2:8080
-A KUBE-SEP-DYHYNQZTFLB6H7EF -m comment --comment default/shop:http -s 10.244.2.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-DYHYNQZTFLB6H7EF -m comment --comment default/shop:http -m tcp -p tcp -j DNAT --to-destination 10.244.2.2:8080
-A KUBE-EXT-KKDGWRPDK6Z5NCHS -m comment --comment "masquerade traffic for default/api:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-KKDGWRPDK6Z5NCHS -j KUBE-SVC-KKDGWRPDK6Z5NCHS
-A KUBE-SVC-KKDGWRPDK6Z5NCHS -m comment --comment "default/api:http cluster IP" -m tcp -p tcp -d 10.96.0.30 --dport 8080 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-KKDGWRPDK6Z5NCHS -m comment --comment "default/api:http -> 10.244.1.3:9090" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-R6M3VD42AX2BMDT6
-A KUBE-SVC-KKDGWRPDK6Z5NCHS -m comment --comment "default/api:http -> 10.244.2.3:9090" -j KUBE-SEP-R7DOAUJAF2FFISRF
-A KUBE-SEP-R6M3VD42AX2BMDT6 -m comment --comment default/api:http -s 10.244.1.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-R6M3VD42AX2BMDT6 -m comment --comment default/api:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.3:9090
-A KUBE-SEP-R7DOAUJAF2FFISRF -m comment --comment default/api:http -s 10.244.2.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-R7DOAUJAF2FFISRF -m comment --comment default/api:http -m tcp -p tcp -j DNAT --to-destination 10.244.2.3:9090
COMMIT
END

# jumps from the built-in chains; each goes to the head of its chain
iptables -t filter -I INPUT -m conntrack --ctstate NEW -m comment --comment 'kubernetes externally-visible service portals' -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I FORWARD -m conntrack --ctstate NEW -m comment --comment 'kubernetes externally-visible service portals' -j KUBE-EXTERNAL-SERVICES
iptables -t filter -I INPUT -m comment --comment 'kubernetes health check service ports' -j KUBE-NODEPORTS
iptables -t filter -I FORWARD -m conntrack --ctstate NEW -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t filter -I OUTPUT -m conntrack --ctstate NEW -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t filter -I FORWARD -m comment --comment 'kubernetes forwarding rules' -j KUBE-FORWARD
iptables -t filter -I INPUT -m conntrack --ctstate NEW -m comment --comment 'kubernetes load balancer firewall' -j KUBE-PROXY-FIREWALL
iptables -t filter -I OUTPUT -m conntrack --ctstate NEW -m comment --comment 'kubernetes load balancer firewall' -j KUBE-PROXY-FIREWALL
iptables -t filter -I FORWARD -m conntrack --ctstate NEW -m comment --comment 'kubernetes load balancer firewall' -j KUBE-PROXY-FIREWALL
iptables -t nat -I OUTPUT -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t nat -I PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -t nat -I POSTROUTING -m comment --comment 'kubernetes postrouting rules' -j KUBE-POSTROUTING
iptables -t filter -I INPUT -j KUBE-FIREWALL
iptables -t filter -I OUTPUT -j KUBE-FIREWALL

# chains whose absence tells kube-proxy that somebody flushed its rules
iptables -t mangle -N KUBE-PROXY-CANARY
iptables -t nat -N KUBE-PROXY-CANARY
iptables -t filter -N KUBE-PROXY-CANARY
