# node-2 (node): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv4/ip_forward=1' 'net/ipv4/conf/all/rp_filter=0' 'net/ipv4/conf/default/rp_filter=0' 'net/bridge/bridge-nf-call-iptables=1' 'net/ipv6/conf/all/disable_ipv6=1'
ip -batch - <<'END'
link add name cni0 address 0a:58:0a:f4:02:01 type bridge mcast_snooping 0 vlan_default_pvid 0
link set dev cni0 up
link set dev veth-kube-sys-2 master cni0
link set dev veth-shop-2 master cni0
link set dev veth-cart-1 master cni0
link set dev veth-stock-0 master cni0
link set dev lo up
address add 172.18.0.12/16 dev eth0
address add 10.244.2.1/24 dev cni0
route add 10.244.1.0/24 via 172.18.0.11 dev eth0
route add 172.18.255.128/26 via 172.18.255.128 dev eth0 onlink
route add 0.0.0.0/0 dev eth0
neighbour replace 172.18.0.11 lladdr 0a:58:ac:12:00:0b dev eth0 nud permanent
neighbour replace 172.18.255.128 lladdr 0a:58:ac:12:ff:80 dev eth0 nud permanent
neighbour replace 10.244.2.2 lladdr 0a:58:0a:f4:02:02 dev cni0 nud permanent
neighbour replace 10.244.2.3 lladdr 0a:58:0a:f4:02:03 dev cni0 nud permanent
neighbour replace 10.244.2.4 lladdr 0a:58:0a:f4:02:04 dev cni0 nud permanent
neighbour replace 10.244.2.5 lladdr 0a:58:0a:f4:02:05 dev cni0 nud permanent
END
bridge -batch - <<'END'
link set dev veth-kube-sys-2 hairpin on
fdb replace 0a:58:0a:f4:02:02 dev veth-kube-sys-2 master static
link set dev veth-shop-2 hairpin on
fdb replace 0a:58:0a:f4:02:03 dev veth-shop-2 master static
link set dev veth-cart-1 hairpin on
fdb replace 0a:58:0a:f4:02:04 dev veth-cart-1 master static
link set dev veth-stock-0 hairpin on
fdb replace 0a:58:0a:f4:02:05 dev veth-stock-0 master static
END

# kube-proxy 1.30.3, iptables mode, on node node-2: a full sync

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
-A KUBE-SERVICES -m comment --comment "default/archive has no endpoints" -m tcp -p tcp -d 10.96.0.12 --dport 80 -j REJECT
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
:KUBE-SVC-LSYN242TNC7U6AHA - [0:0]
:KUBE-SEP-6UM5WON77AY2IXC4 - [0:0]
:KUBE-SEP-DBP7BA3LM47ATPDQ - [0:0]
:KUBE-SVC-WBZ7QVAXGVRYWBC2 - [0:0]
:KUBE-SEP-TV2SRNS4HAHKOS33 - [0:0]
:KUBE-SEP-B2FXENIXNILC5UAD - [0:0]
:KUBE-EXT-BILYYKAKWI7RYELB - [0:0]
:KUBE-SVC-BILYYKAKWI7RYELB - [0:0]
:KUBE-SEP-SR52GI3LOR4IQOI4 - [0:0]
:KUBE-SEP-XE4S4VCNIYCPO3NK - [0:0]
:KUBE-SEP-SLGI7CB7E3BAFXEE - [0:0]
:KUBE-EXT-N3C4DH7NZW2A5B26 - [0:0]
:KUBE-SVC-N3C4DH7NZW2A5B26 - [0:0]
:KUBE-SEP-6MPE6OCOQOKXJOGX - [0:0]
:KUBE-SEP-37VPYTRRX7QMH5JN - [0:0]
:KUBE-SEP-G37EEBQHBWGDMW2F - [0:0]
:KUBE-SVC-EE4FE7XDP64QLQLA - [0:0]
:KUBE-SEP-LNVWJQSJZA3ZXCFE - [0:0]
:KUBE-SEP-XVX3LPJU7ARMOEXF - [0:0]
-A KUBE-SERVICES -m comment --comment "kube-system/names:dns cluster IP" -m udp -p udp -d 10.96.0.53 --dport 53 -j KUBE-SVC-LSYN242TNC7U6AHA
-A KUBE-SERVICES -m comment --comment "kube-system/names:dns-tcp cluster IP" -m tcp -p tcp -d 10.96.0.53 --dport 53 -j KUBE-SVC-WBZ7QVAXGVRYWBC2
-A KUBE-SERVICES -m comment --comment "default/shop:http cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 -j KUBE-SVC-BILYYKAKWI7RYELB
-A KUBE-SERVICES -m comment --comment "default/shop:metrics cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 9090 -j KUBE-SVC-N3C4DH7NZW2A5B26
-A KUBE-SERVICES -m comment --comment "default/cart cluster IP" -m tcp -p tcp -d 10.96.0.11 --dport 80 -j KUBE-SVC-EE4FE7XDP64QLQLA
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -m comment --comment default/shop:http -m tcp -p tcp --dport 30000 -j KUBE-EXT-BILYYKAKWI7RYELB
-A KUBE-NODEPORTS -m comment --comment default/shop:metrics -m tcp -p tcp --dport 30001 -j KUBE-EXT-N3C4DH7NZW2A5B26
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
-A KUBE-SVC-LSYN242TNC7U6AHA -m comment --comment "kube-system/names:dns cluster IP" -m udp -p udp -d 10.96.0.53 --dport 53 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-LSYN242TNC7U6AHA -m comment --comment "kube-system/names:dns -> 10.244.1.2:5353" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-6UM5WON77AY2IXC4
-A KUBE-SVC-LSYN242TNC7U6AHA -m comment --comment "kube-system/names:dns -> 10.244.2.2:5353" -j KUBE-SEP-DBP7BA3LM47ATPDQ
-A KUBE-SEP-6UM5WON77AY2IXC4 -m comment --comment kube-system/names:dns -s 10.244.1.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-6UM5WON77AY2IXC4 -m comment --comment kube-system/names:dns -m udp -p udp -j DNAT --to-destination 10.244.1.2:5353
-A KUBE-SEP-DBP7BA3LM47ATPDQ -m comment --comment kube-system/names:dns -s 10.244.2.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-DBP7BA3LM47ATPDQ -m comment --comment kube-system/names:dns -m udp -p udp -j DNAT --to-destination 10.244.2.2:5353
-A KUBE-SVC-WBZ7QVAXGVRYWBC2 -m comment --comment "kube-system/names:dns-tcp cluster IP" -m tcp -p tcp -d 10.96.0.53 --dport 53 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-WBZ7QVAXGVRYWBC2 -m comment --comment "kube-system/names:dns-tcp -> 10.244.1.2:5353" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-TV2SRNS4HAHKOS33
-A KUBE-SVC-WBZ7QVAXGVRYWBC2 -m comment --comment "kube-system/names:dns-tcp -> 10.244.2.2:5353" -j KUBE-SEP-B2FXENIXNILC5UAD
-A KUBE-SEP-TV2SRNS4HAHKOS33 -m comment --comment kube-system/names:dns-tcp -s 10.244.1.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-TV2SRNS4HAHKOS33 -m comment --comment kube-system/names:dns-tcp -m tcp -p tcp -j DNAT --to-destination 10.244.1.2:5353
-A KUBE-SEP-B2FXENIXNILC5UAD -m comment --comment kube-system/names:dns-tcp -s 10.244.2.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-B2FXENIXNILC5UAD -m comment --comment kube-system/names:dns-tcp -m tcp -p tcp -j DNAT --to-destination 10.244.2.2:5353
-A KUBE-EXT-BILYYKAKWI7RYELB -m comment --comment "masquerade traffic for default/shop:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-BILYYKAKWI7RYELB -j KUBE-SVC-BILYYKAKWI7RYELB
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http -> 10.244.1.3:8080" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-SR52GI3LOR4IQOI4
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http -> 10.244.1.4:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-XE4S4VCNIYCPO3NK
-A KUBE-SVC-BILYYKAKWI7RYELB -m comment --comment "default/shop:http -> 10.244.2.3:8080" -j KUBE-SEP-SLGI7CB7E3BAFXEE
-A KUBE-SEP-SR52GI3LOR4IQOI4 -m comment --comment default/shop:http -s 10.244.1.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-SR52GI3LOR4IQOI4 -m comment --comment default/shop:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.3:8080
-A KUBE-SEP-XE4S4VCNIYCPO3NK -m comment --comment default/shop:http -s 10.244.1.4 -j KUBE-MARK-MASQ
-A KUBE-SEP-XE4S4VCNIYCPO3NK -m comment --comment default/shop:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.4:8080
-A KUBE-SEP-SLGI7CB7E3BAFXEE -m comment --comment default/shop:http -s 10.244.2.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-SLGI7CB7E3BAFXEE -m comment --comment default/shop:http -m tcp -p tcp -j DNAT --to-destination 10.244.2.3:8080
-A KUBE-EXT-N3C4DH7NZW2A5B26 -m comment --comment "masquerade traffic for default/shop:metrics external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-N3C4DH7NZW2A5B26 -j KUBE-SVC-N3C4DH7NZW2A5B26
-A KUBE-SVC-N3C4DH7NZW2A5B26 -m comment --comment "default/shop:metrics cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 9090 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-N3C4DH7NZW2A5B26 -m comment --comment "default/shop:metrics -> 10.244.1.3:9090" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-6MPE6OCOQOKXJOGX
-A KUBE-SVC-N3C4DH7NZW2A5B26 -m comment --comment "default/shop:metrics -> 10.244.1.4:9090" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-37VPYTRRX7QMH5JN
-A KUBE-SVC-N3C4DH7NZW2A5B26 -m comment --comment "default/shop:metrics -> 10.244.2.3:9090" -j KUBE-SEP-G37EEBQHBWGDMW2F
-A KUBE-SEP-6MPE6OCOQOKXJOGX -m comment --comment default/shop:metrics -s 10.244.1.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-6MPE6OCOQOKXJOGX -m comment --comment default/shop:metrics -m tcp -p tcp -j DNAT --to-destination 10.244.1.3:9090
-A KUBE-SEP-37VPYTRRX7QMH5JN -m comment --comment default/shop:metrics -s 10.244.1.4 -j KUBE-MARK-MASQ
-A KUBE-SEP-37VPYTRRX7QMH5JN -m comment --comment default/shop:metrics -m tcp -p tcp -j DNAT --to-destination 10.244.1.4:9090
-A KUBE-SEP-G37EEBQHBWGDMW2F -m comment --comment default/shop:metrics -s 10.244.2.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-G37EEBQHBWGDMW2F -m comment --comment default/shop:metrics -m tcp -p tcp -j DNAT --to-destination 10.244.2.3:9090
-A KUBE-SVC-EE4FE7XDP64QLQLA -m comment --comment "default/cart cluster IP" -m tcp -p tcp -d 10.96.0.11 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-EE4FE7XDP64QLQLA -m comment --comment "default/cart -> 10.244.1.5:8080" -m recent --name KUBE-SEP-LNVWJQSJZA3ZXCFE --rcheck --seconds 180 --reap -j KUBE-SEP-LNVWJQSJZA3ZXCFE
-A KUBE-SVC-EE4FE7XDP64QLQLA -m comment --comment "default/cart -> 10.244.2.4:8080" -m recent --name KUBE-SEP-XVX3LPJU7ARMOEXF --rcheck --seconds 180 --reap -j KUBE-SEP-XVX3LPJU7ARMOEXF
-A KUBE-SVC-EE4FE7XDP64QLQLA -m comment --comment "default/cart -> 10.244.1.5:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-LNVWJQSJZA3ZXCFE
-A KUBE-SVC-EE4FE7XDP64QLQLA -m comment --comment "default/cart -> 10.244.2.4:8080" -j KUBE-SEP-XVX3LPJU7ARMOEXF
-A KUBE-SEP-LNVWJQSJZA3ZXCFE -m comment --comment default/cart -s 10.244.1.5 -j KUBE-MARK-MASQ
-A KUBE-SEP-LNVWJQSJZA3ZXCFE -m comment --comment default/cart -m recent --name KUBE-SEP-LNVWJQSJZA3ZXCFE --set -m tcp -p tcp -j DNAT --to-destination 10.244.1.5:8080
-A KUBE-SEP-XVX3LPJU7ARMOEXF -m comment --comment default/cart -s 10.244.2.4 -j KUBE-MARK-MASQ
-A KUBE-SEP-XVX3LPJU7ARMOEXF -m comment --comment default/cart -m recent --name KUBE-SEP-XVX3LPJU7ARMOEXF --set -m tcp -p tcp -j DNAT --to-destination 10.244.2.4:8080
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
