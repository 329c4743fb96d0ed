# lan (lan): its network, where its interfaces are there already
set -e
sysctl -qw 'net/ipv6/conf/all/disable_ipv6=1' 'net/bridge/bridge-nf-call-iptables=0'
ip -batch - <<'END'
link add name lan0 address 0a:58:ac:12:00:00 type bridge mcast_snooping 0 vlan_default_pvid 0
link set dev lan0 up
link set dev veth-node-1 master lan0
link set dev veth-node-2 master lan0
link set dev veth-outside master lan0
link set dev lo up
END
bridge -batch - <<'END'
fdb replace 0a:58:ac:12:00:0b dev veth-node-1 master static
fdb replace 0a:58:ac:12:00:0c dev veth-node-2 master static
fdb replace 0a:58:ac:12:ff:80 dev veth-outside master static
END
