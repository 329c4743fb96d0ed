"""Configuration that no recorded output of kube-proxy covers: checked against its source and documents."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nft_model import run_transaction
from proxy_clusters import NODE, cluster, here, load_balancer, service, slice_of

from labkit.proxy.iptables import plan_iptables
from labkit.proxy.ipvs import IpvsTimeouts, plan_ipvs
from labkit.proxy.nftables import plan_nftables
from labkit.proxy.nftables_statements import render_transaction
from labkit.proxy.restore import render_restore
from labkit.proxy.settings import node_settings
from labkit.spec.model import ServicePort
from labkit.spec.proxyconfig import (
    ConntrackConfig,
    DetectLocal,
    IptablesConfig,
    IpvsConfig,
    NftablesConfig,
    ProxyConfig,
)

WEB = cluster(load_balancer(), slice_of(here(2)))


def nft_rules(config, beginning, addresses=(), cluster=WEB):
    """Return the rules of the chain of that name, or of the one Service's whose name begins so."""
    text = render_transaction(plan_nftables(cluster, NODE, config, addresses).transaction)
    chains = run_transaction(text).chains
    (name,) = [one for one in chains if one == beginning or (one.startswith(beginning) and "/" in one)]
    return chains[name][1]


def chain(plan, table, name):
    (found,) = (one for one in plan.tables if one.name == table)
    return [" ".join(rule) for rule in found.chains[name]]


def test_the_masquerade_bit_decides_the_mark_in_both_modes():
    config = ProxyConfig(iptables=IptablesConfig(masquerade_bit=5))
    for plan in (plan_iptables(WEB, NODE, config), plan_ipvs(WEB, NODE, config)):
        assert chain(plan, "nat", "KUBE-MARK-MASQ") == ["-j MARK --or-mark 0x00000020"]
        assert "0x00004000" not in render_restore(plan.tables)


def test_nftables_mode_has_a_masquerade_bit_of_its_own():
    config = ProxyConfig(iptables=IptablesConfig(masquerade_bit=5), nftables=NftablesConfig(masquerade_bit=6))
    assert nft_rules(config, "mark-for-masquerade") == ["mark set mark or 0x00000040"]
    assert nft_rules(config, "masquerading") == [
        "mark and 0x00000040 == 0 return",
        "mark set mark xor 0x00000040",
        "masquerade fully-random",
    ]


def test_nftables_mode_has_a_masquerade_all_of_its_own():
    for iptables, nftables, origin in ((True, False, "ip saddr != 10.0.0.0/8 "), (False, True, "")):
        config = ProxyConfig(
            cluster_cidr="10.0.0.0/8",
            iptables=IptablesConfig(masquerade_all=iptables),
            nftables=NftablesConfig(masquerade_all=nftables),
        )
        first, *_ = nft_rules(config, "service-")
        assert first == f"ip daddr 10.96.0.10 tcp dport 80 {origin}jump mark-for-masquerade"


@pytest.mark.parametrize(
    ("config", "from_pod", "from_elsewhere"),
    [
        (ProxyConfig(cluster_cidr="fd00::/8,10.0.0.0/8"), "ip saddr 10.0.0.0/8", "ip saddr != 10.0.0.0/8"),
        (ProxyConfig(detect_local_mode="NodeCIDR"), "ip saddr 10.244.1.0/24", "ip saddr != 10.244.1.0/24"),
        (
            ProxyConfig(detect_local_mode="BridgeInterface", detect_local=DetectLocal("cni0")),
            "iif cni0",
            "iif != cni0",
        ),
        (
            ProxyConfig(detect_local_mode="InterfaceNamePrefix", detect_local=DetectLocal("", "veth")),
            "iif veth*",
            "iif != veth*",
        ),
        (ProxyConfig(), "", ""),
    ],
)
def test_a_local_detector_says_in_nftables_words_who_is_a_pod(config, from_pod, from_elsewhere):
    local = cluster(load_balancer(external_policy="Local"), slice_of(here(2)))
    marked = [rule for rule in nft_rules(config, "service-", cluster=local) if "mark-for-masq" in rule]
    short_cuts = [rule for rule in nft_rules(config, "external-", cluster=local) if "pod traffic" in rule]
    if not from_pod:
        assert (marked, short_cuts) == ([], [])
        return
    assert marked == [f"ip daddr 10.96.0.10 tcp dport 80 {from_elsewhere} jump mark-for-masquerade"]
    (short_cut,) = short_cuts
    assert short_cut.startswith(f"{from_pod} goto service-")


def test_in_nftables_mode_a_nodes_main_address_alone_serves_node_ports_unless_others_are_chosen():
    addresses = ("172.18.0.2", "10.244.1.1")
    for chosen, expected in (
        ((), ["172.18.0.2"]),
        (("fd00::/8",), ["172.18.0.2"]),
        (("10.0.0.0/8", "172.18.0.0/16"), ["10.244.1.1", "172.18.0.2"]),
        (("127.0.0.0/8",), []),
    ):
        plan = plan_nftables(WEB, NODE, ProxyConfig(node_port_addresses=chosen), addresses)
        ruleset = run_transaction(render_transaction(plan.transaction))
        assert sorted(ruleset.elements("nodeport-ips")) == expected
    bound = plan_nftables(WEB, NODE, ProxyConfig(bind_address="172.18.0.9"))
    assert run_transaction(render_transaction(bound.transaction)).elements("nodeport-ips") == ["172.18.0.9"]


def test_a_long_name_is_cut_in_nftables_mode():
    long = "x" * 120
    one = replace(service(), name=long, ports=(replace(service().ports[0], name=long),))
    slices = replace(slice_of(here(2), name=long, port=long))
    plan = plan_nftables(cluster(one, slices), NODE, ProxyConfig())
    names = {one.name for one in plan.transaction if one.name.startswith(("service-", "endpoint-"))}
    ends = {name.partition("-")[2] for name in names if name not in {"service-ips", "service-nodeports"}}
    assert {(len(end), end[-3:]) for end in ends if long in end} == {(240, "...")}


def test_masquerade_all_asks_nobody_where_traffic_comes_from():
    config = ProxyConfig(cluster_cidr="10.0.0.0/8", iptables=IptablesConfig(masquerade_all=True))
    ipvs = chain(plan_ipvs(WEB, NODE, config), "nat", "KUBE-SERVICES")
    assert any(rule.endswith("KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ") for rule in ipvs)
    iptables = render_restore(plan_iptables(WEB, NODE, config).tables)
    assert "-d 10.96.0.10 --dport 80 -j KUBE-MARK-MASQ" in iptables
    assert "10.0.0.0/8" not in iptables


@pytest.mark.parametrize(
    ("config", "from_pod", "from_elsewhere"),
    [
        (ProxyConfig(cluster_cidr="10.0.0.0/8"), "-s 10.0.0.0/8", "! -s 10.0.0.0/8"),
        (ProxyConfig(cluster_cidr="fd00::/8,10.0.0.0/8"), "-s 10.0.0.0/8", "! -s 10.0.0.0/8"),
        (ProxyConfig(detect_local_mode="NodeCIDR"), "-s 10.244.1.0/24", "! -s 10.244.1.0/24"),
        (
            ProxyConfig(detect_local_mode="BridgeInterface", detect_local=DetectLocal("cni0")),
            "-i cni0",
            "! -i cni0",
        ),
        (
            ProxyConfig(detect_local_mode="InterfaceNamePrefix", detect_local=DetectLocal("", "veth")),
            "-i veth+",
            "! -i veth+",
        ),
        (ProxyConfig(), "", ""),
    ],
)
def test_a_local_detector_says_who_is_a_pod(config, from_pod, from_elsewhere):
    settings = node_settings(NODE, config)
    assert (" ".join(settings.from_pod), " ".join(settings.not_from_pod)) == (from_pod, from_elsewhere)
    (masquerade,) = [
        rule
        for rule in chain(plan_ipvs(WEB, NODE, config), "nat", "KUBE-SERVICES")
        if "KUBE-MARK-MASQ" in rule
    ]
    assert masquerade.endswith(
        f"dst,dst {from_elsewhere} -j KUBE-MARK-MASQ" if from_pod else "src,dst -j KUBE-MARK-MASQ"
    )


def test_a_bind_address_replaces_the_nodes_own():
    config = ProxyConfig(bind_address="172.18.0.99")
    keys = {server.key for server in plan_ipvs(WEB, NODE, config).virtual_servers}
    assert "172.18.0.99:30080/TCP" in keys
    assert "172.18.0.2:30080/TCP" not in keys


def test_all_addresses_of_a_node_serve_node_ports_unless_some_are_chosen():
    addresses = ("172.18.0.2", "10.244.1.1")
    every, chosen = ProxyConfig(), ProxyConfig(node_port_addresses=("172.18.0.0/16", "fd00::/8"))
    for config, expected in ((every, set(addresses)), (chosen, {"172.18.0.2"})):
        servers = plan_ipvs(WEB, NODE, config, addresses).virtual_servers
        assert {server.address for server in servers if server.port == 30080} == expected
    last = chain(plan_iptables(WEB, NODE, chosen, addresses), "nat", "KUBE-SERVICES")[-1]
    assert last.endswith("-d 172.18.0.2 -j KUBE-NODEPORTS")


def test_an_external_ip_that_the_node_has_is_not_bound_again():
    own = cluster(service(external_ips=("10.244.1.1", "192.0.2.1")), slice_of(here(2)))
    plan = plan_ipvs(own, NODE, ProxyConfig(), ("172.18.0.2", "10.244.1.1"))
    assert plan.addresses == ("10.96.0.10", "192.0.2.1")
    assert "10.244.1.1:80/TCP" in {server.key for server in plan.virtual_servers}


def test_strict_arp_silences_the_addresses_of_kube_ipvs0():
    loose, strict = (
        plan_ipvs(WEB, NODE, ProxyConfig(ipvs=IpvsConfig(strict_arp=on))) for on in (False, True)
    )
    assert dict(strict.sysctls) == {
        **loose.sysctls,
        "net/ipv4/conf/all/arp_ignore": "1",
        "net/ipv4/conf/all/arp_announce": "2",
    }


def test_timeouts_and_excluded_networks_are_handed_on():
    ipvs = IpvsConfig(tcp_timeout_s=900.0, udp_timeout_s=30.0, exclude_cidrs=("192.0.2.0/24",))
    plan = plan_ipvs(WEB, NODE, ProxyConfig(ipvs=ipvs))
    assert (plan.timeouts, plan.excluded_cidrs) == (IpvsTimeouts(900, 0, 30), ("192.0.2.0/24",))
    assert not plan_ipvs(WEB, NODE, ProxyConfig()).timeouts.any


def test_a_tolerant_conntrack_keeps_packets_out_of_window():
    config = ProxyConfig(conntrack=ConntrackConfig(tcp_be_liberal=True))
    strict, tolerant = (plan_iptables(WEB, NODE, one) for one in (ProxyConfig(), config))
    assert "-m conntrack --ctstate INVALID -j DROP" in chain(strict, "filter", "KUBE-FORWARD")
    assert "-m conntrack --ctstate INVALID -j DROP" not in chain(tolerant, "filter", "KUBE-FORWARD")
    assert tolerant.sysctls["net/netfilter/nf_conntrack_tcp_be_liberal"] == "1"
    assert plan_nftables(WEB, NODE, config).sysctls == {"net/netfilter/nf_conntrack_tcp_be_liberal": "1"}


def test_in_a_large_cluster_endpoints_rules_carry_no_comments():
    endpoints = tuple(replace(here(2), address=f"10.244.{i // 250}.{i % 250 + 1}") for i in range(1001))
    small, large = (
        plan_iptables(cluster(service(), slice_of(*some)), NODE, ProxyConfig())
        for some in (endpoints[:1000], endpoints)
    )
    for plan, explained in ((small, True), (large, False)):
        endpoint_rules = [
            rule
            for table in plan.tables
            for name, rules in table.chains.items()
            if name.startswith(("KUBE-SVC-", "KUBE-SEP-"))
            for rule in rules
            if rule[-1] != "KUBE-MARK-MASQ" or name.startswith("KUBE-SEP-")
        ]
        assert {"--comment" in rule for rule in endpoint_rules} == {explained}


@pytest.mark.parametrize(
    ("chosen", "rules", "loopback_routed"),
    [
        (("10.0.0.0/0",), {"-d 172.18.0.2", "-d 127.0.0.1"}, True),
        (("172.18.0.0/16", "0.0.0.0/0"), {"-m addrtype --dst-type LOCAL"}, True),
        (("127.0.0.2/32",), set(), True),
        (("127.0.0.0/30", "172.18.0.2/32"), {"-d 172.18.0.2", "-d 127.0.0.1"}, True),
        (("192.0.2.0/24",), set(), False),
        (("fd00::/8",), {"-m addrtype --dst-type LOCAL"}, True),
    ],
)
def test_node_ports_listen_where_the_text_of_the_configuration_says(chosen, rules, loopback_routed):
    plan = plan_iptables(WEB, NODE, ProxyConfig(node_port_addresses=chosen))
    last = [rule for rule in chain(plan, "nat", "KUBE-SERVICES") if rule.endswith("-j KUBE-NODEPORTS")]
    assert {rule.partition("this chain ")[2].removesuffix(" -j KUBE-NODEPORTS") for rule in last} == rules
    assert bool(plan.sysctls) == loopback_routed


def test_a_network_of_all_addresses_is_a_choice_unless_it_is_written_0_0_0_0():
    chosen = ProxyConfig(node_port_addresses=("10.0.0.0/0",))
    nft = plan_nftables(WEB, NODE, chosen, ("172.18.0.2", "10.244.1.1"))
    assert run_transaction(render_transaction(nft.transaction)).elements("nodeport-ips") == [
        "172.18.0.2",
        "10.244.1.1",
    ]


@pytest.mark.parametrize(("node_port", "let_in"), [(0, ("32000",)), (30080, ())])
def test_without_node_port_addresses_a_health_port_goes_with_its_node_port(node_port, let_in):
    balancer = replace(
        load_balancer(external_policy="Local", health_check_node_port=32000),
        ports=(ServicePort("http", "TCP", 80, 8080, node_port),),
    )
    nowhere = ProxyConfig(node_port_addresses=("192.0.2.0/24",))
    plan = plan_ipvs(cluster(balancer, slice_of(here(2))), NODE, nowhere)
    (health,) = [one for one in plan.ipsets if one.name == "KUBE-HEALTH-CHECK-NODE-PORT"]
    assert health.members == let_in
