# node-1 (node): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv4/ip_forward=1' 'net/ipv4/conf/all/rp_filter=0' 'net/ipv4/conf/default/rp_filter=0' 'net/bridge/bridge-nf-call-iptables=1' 'net/ipv6/conf/all/disable_ipv6=1'
ip -batch - <<'END'
link add name cni0 address 0a:58:0a:f4:01:01 type bridge mcast_snooping 0 vlan_default_pvid 0
link set dev cni0 up
link set dev veth-web-1 master cni0
link set dev veth-web-3 master cni0
link set dev veth-client master cni0
link set dev lo up
address add 172.18.0.11/16 dev eth0
address add 10.244.1.1/24 dev cni0
route add 10.244.2.0/24 via 172.18.0.12 dev eth0
route add 172.18.255.128/26 via 172.18.255.128 dev eth0 onlink
route add 10.244.1.128/26 via 10.244.1.128 dev cni0 onlink
route add 0.0.0.0/0 dev eth0
neighbour replace 172.18.0.12 lladdr 0a:58:ac:12:00:0c dev eth0 nud permanent
neighbour replace 172.18.255.128 lladdr 0a:58:ac:12:ff:80 dev eth0 nud permanent
neighbour replace 10.244.1.2 lladdr 0a:58:0a:f4:01:02 dev cni0 nud permanent
neighbour replace 10.244.1.3 lladdr 0a:58:0a:f4:01:03 dev cni0 nud permanent
neighbour replace 10.244.1.128 lladdr 0a:58:0a:f4:01:80 dev cni0 nud permanent
END
bridge -batch - <<'END'
link set dev veth-web-1 hairpin on
fdb replace 0a:58:0a:f4:01:02 dev veth-web-1 master static
link set dev veth-web-3 hairpin on
fdb replace 0a:58:0a:f4:01:03 dev veth-web-3 master static
link set dev veth-client hairpin on
fdb replace 0a:58:0a:f4:01:80 dev veth-client master static
END

# kube-proxy 1.30.3, nftables mode, on node node-1: a full sync

# one transaction: all of it or nothing
nft -f - <<'END'
add table ip kube-proxy
add chain ip kube-proxy filter-prerouting
delete chain ip kube-proxy filter-prerouting
add chain ip kube-proxy filter-input
delete chain ip kube-proxy filter-input
add chain ip kube-proxy filter-forward
delete chain ip kube-proxy filter-forward
add chain ip kube-proxy filter-output
delete chain ip kube-proxy filter-output
add chain ip kube-proxy filter-output-post-dnat
delete chain ip kube-proxy filter-output-post-dnat
add chain ip kube-proxy nat-prerouting
delete chain ip kube-proxy nat-prerouting
add chain ip kube-proxy nat-output
delete chain ip kube-proxy nat-output
add chain ip kube-proxy nat-postrouting
delete chain ip kube-proxy nat-postrouting
add chain ip kube-proxy filter-prerouting { type filter hook prerouting priority -110 ; }
flush chain ip kube-proxy filter-prerouting
add chain ip kube-proxy filter-input { type filter hook input priority -110 ; }
flush chain ip kube-proxy filter-input
add chain ip kube-proxy filter-forward { type filter hook forward priority -110 ; }
flush chain ip kube-proxy filter-forward
add chain ip kube-proxy filter-output { type filter hook output priority -110 ; }
flush chain ip kube-proxy filter-output
add chain ip kube-proxy filter-output-post-dnat { type filter hook output priority -90 ; }
flush chain ip kube-proxy filter-output-post-dnat
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100 ; }
flush chain ip kube-proxy nat-prerouting
add chain ip kube-proxy nat-output { type nat hook output priority -100 ; }
flush chain ip kube-proxy nat-output
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100 ; }
flush chain ip kube-proxy nat-postrouting
add chain ip kube-proxy nodeport-endpoints-check
flush chain ip kube-proxy nodeport-endpoints-check
add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
add chain ip kube-proxy service-endpoints-check
flush chain ip kube-proxy service-endpoints-check
add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
add chain ip kube-proxy firewall-check
flush chain ip kube-proxy firewall-check
add rule ip kube-proxy filter-prerouting ct state new jump firewall-check
add rule ip kube-proxy filter-output ct state new jump firewall-check
add chain ip kube-proxy services
flush chain ip kube-proxy services
add rule ip kube-proxy nat-output jump services
add rule ip kube-proxy nat-prerouting jump services
add chain ip kube-proxy masquerading
flush chain ip kube-proxy masquerading
add rule ip kube-proxy nat-postrouting jump masquerading
add chain ip kube-proxy cluster-ips-check
flush chain ip kube-proxy cluster-ips-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
add rule ip kube-proxy filter-output-post-dnat ct state new jump cluster-ips-check
add chain ip kube-proxy mark-for-masquerade
flush chain ip kube-proxy mark-for-masquerade
add rule ip kube-proxy mark-for-masquerade mark set mark or 0x00004000
add rule ip kube-proxy masquerading mark and 0x00004000 == 0 return
add rule ip kube-proxy masquerading mark set mark xor 0x00004000
add rule ip kube-proxy masquerading masquerade fully-random
add set ip kube-proxy cluster-ips { type ipv4_addr ; }
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
add set ip kube-proxy nodeport-ips { type ipv4_addr ; }
flush set ip kube-proxy nodeport-ips
add element ip kube-proxy nodeport-ips { 172.18.0.11 }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
add chain ip kube-proxy reject-chain
flush chain ip kube-proxy reject-chain
add rule ip kube-proxy reject-chain reject
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
add rule ip kube-proxy nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
flush set ip kube-proxy cluster-ips
flush map ip kube-proxy firewall-ips
flush map ip kube-proxy no-endpoint-services
flush map ip kube-proxy no-endpoint-nodeports
flush map ip kube-proxy service-ips
flush map ip kube-proxy service-nodeports
add chain ip kube-proxy endpoint-SVLGPL42-default/web/tcp/http__10.244.1.2/8080
flush chain ip kube-proxy endpoint-SVLGPL42-default/web/tcp/http__10.244.1.2/8080
add chain ip kube-proxy endpoint-QYTGA46O-default/web/tcp/http__10.244.1.3/8080
flush chain ip kube-proxy endpoint-QYTGA46O-default/web/tcp/http__10.244.1.3/8080
add chain ip kube-proxy endpoint-AAOQDDFY-default/web/tcp/http__10.244.2.2/8080
flush chain ip kube-proxy endpoint-AAOQDDFY-default/web/tcp/http__10.244.2.2/8080
add chain ip kube-proxy endpoint-AHN7CUJY-default/web/tcp/http__10.244.2.3/8080
flush chain ip kube-proxy endpoint-AHN7CUJY-default/web/tcp/http__10.244.2.3/8080
add chain ip kube-proxy service-SUSTUHLJ-default/web/tcp/http
flush chain ip kube-proxy service-SUSTUHLJ-default/web/tcp/http
add chain ip kube-proxy external-SUSTUHLJ-default/web/tcp/http
flush chain ip kube-proxy external-SUSTUHLJ-default/web/tcp/http
add element ip kube-proxy cluster-ips { 10.96.0.10 }
add element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 : goto service-SUSTUHLJ-default/web/tcp/http }
add element ip kube-proxy service-nodeports { tcp . 30080 : goto external-SUSTUHLJ-default/web/tcp/http }
add rule ip kube-proxy service-SUSTUHLJ-default/web/tcp/http ip daddr 10.96.0.10 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
add rule ip kube-proxy external-SUSTUHLJ-default/web/tcp/http jump mark-for-masquerade
add rule ip kube-proxy external-SUSTUHLJ-default/web/tcp/http goto service-SUSTUHLJ-default/web/tcp/http
add rule ip kube-proxy service-SUSTUHLJ-default/web/tcp/http numgen random mod 4 vmap { 0 : goto endpoint-SVLGPL42-default/web/tcp/http__10.244.1.2/8080 , 1 : goto endpoint-QYTGA46O-default/web/tcp/http__10.244.1.3/8080 , 2 : goto endpoint-AAOQDDFY-default/web/tcp/http__10.244.2.2/8080 , 3 : goto endpoint-AHN7CUJY-default/web/tcp/http__10.244.2.3/8080 }
add rule ip kube-proxy endpoint-SVLGPL42-default/web/tcp/http__10.244.1.2/8080 ip saddr 10.244.1.2 jump mark-for-masquerade
add rule ip kube-proxy endpoint-SVLGPL42-default/web/tcp/http__10.244.1.2/8080 meta l4proto tcp dnat to 10.244.1.2:8080
add rule ip kube-proxy endpoint-QYTGA46O-default/web/tcp/http__10.244.1.3/8080 ip saddr 10.244.1.3 jump mark-for-masquerade
add rule ip kube-proxy endpoint-QYTGA46O-default/web/tcp/http__10.244.1.3/8080 meta l4proto tcp dnat to 10.244.1.3:8080
add rule ip kube-proxy endpoint-AAOQDDFY-default/web/tcp/http__10.244.2.2/8080 ip saddr 10.244.2.2 jump mark-for-masquerade
add rule ip kube-proxy endpoint-AAOQDDFY-default/web/tcp/http__10.244.2.2/8080 meta l4proto tcp dnat to 10.244.2.2:8080
add rule ip kube-proxy endpoint-AHN7CUJY-default/web/tcp/http__10.244.2.3/8080 ip saddr 10.244.2.3 jump mark-for-masquerade
add rule ip kube-proxy endpoint-AHN7CUJY-default/web/tcp/http__10.244.2.3/8080 meta l4proto tcp dnat to 10.244.2.3:8080
END
