"""Plans as text: the shell script for people."""

from __future__ import annotations

from proxy_clusters import NODE, cluster, here, load_balancer, service, slice_of

from labkit.proxy.iptables import plan_iptables
from labkit.proxy.ipvs import plan_ipvs
from labkit.proxy.printing import plan_script
from labkit.spec.model import ServicePort
from labkit.spec.proxyconfig import IptablesConfig, IpvsConfig, ProxyConfig


def test_the_script_of_ipvs_mode_speaks_each_tools_own_language():
    ports = (ServicePort("http", "TCP", 80, 8080), ServicePort("dns", "UDP", 53, 8080))
    sticky = cluster(service("web", *ports, affinity_timeout_s=60), slice_of(here(2)))
    config = ProxyConfig(ipvs=IpvsConfig(scheduler="mh", tcp_timeout_s=900.0))
    script = plan_script(plan_ipvs(sticky, NODE, config)).splitlines()
    for line in (
        "# kube-proxy 1.30.3, ipvs mode, on node node-1: a full sync",
        "sysctl -qw net/ipv4/vs/conntrack=1",
        "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536",
        "add KUBE-CLUSTER-IP 10.96.0.10,tcp:80",
        "create KUBE-NODE-PORT-TCP bitmap:port range 0-65535",
        "iptables -t nat -I OUTPUT -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES",
        "ip link add kube-ipvs0 type dummy",
        "ip address add 10.96.0.10/32 dev kube-ipvs0",
        "-A -t 10.96.0.10:80 -s mh -p 60 -b mh-port",
        "-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1",
        "-A -u 10.96.0.10:53 -s mh -p 60 -b mh-port",
        "ipvsadm --set 900 0 0",
    ):
        assert line in script
    assert script.count("END") == script.count("ipset restore -exist <<'END'") + 2


def test_a_chain_that_only_a_jump_needs_is_made_before_the_jump():
    config = ProxyConfig(iptables=IptablesConfig(localhost_node_ports=False))
    script = plan_script(plan_iptables(cluster(load_balancer()), NODE, config)).splitlines()
    made = script.index("iptables -t filter -N KUBE-FIREWALL")
    assert made < script.index("iptables -t filter -I INPUT -j KUBE-FIREWALL")
    assert not any("sysctl" in line for line in script)


def test_an_empty_cluster_has_rules_but_no_virtual_servers():
    script = plan_script(plan_ipvs(cluster(), NODE, ProxyConfig()))
    assert "ipvsadm" not in script
    assert "*nat" in script


def test_a_member_that_no_ipset_takes_is_told_of_in_the_script():
    open_to_all = cluster(load_balancer(source_ranges=("0.0.0.0/0", "10.0.0.0/8")), slice_of(here(2)))
    script = plan_script(plan_ipvs(open_to_all, NODE, ProxyConfig())).splitlines()
    members = [line for line in script if "add KUBE-LOAD-BALANCER-SOURCE-CIDR" in line]
    assert [line.startswith("#") for line in members] == [True, False]
    assert members[1].endswith("203.0.113.7,tcp:80,10.0.0.0/8")
