"""A Proxier among others: what is not its own stays, what broke is made whole, a refusal costs nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from node_state import node_state
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.errors import ProgramError
from labkit.fabric.namespace import Namespace
from labkit.proxy.program import available_modes
from labkit.proxy.sync import Proxier
from labkit.spec.proxyconfig import DetectLocal, IpvsConfig, ProxyConfig

pytestmark = pytest.mark.usefixtures("nothing_left")
MODES = available_modes()
every_mode = pytest.mark.parametrize("mode", MODES)
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16", ipvs=IpvsConfig(exclude_cidrs=("198.18.0.0/15",)))
RICH = cluster(
    load_balancer(external_ips=("192.0.2.1",), source_ranges=("198.51.100.0/24",), affinity_timeout_s=60),
    slice_of(here(2), here(3), elsewhere(2)),
    service("empty", cluster_ip="10.96.0.11"),
)
POOR = cluster(service(), slice_of(elsewhere(7)))
FOREIGN = (
    "iptables-{0} -t nat -N MINE",
    "iptables-{0} -t nat -A PREROUTING -s 192.0.2.9 -j MINE",
    "iptables-{0} -t nat -A POSTROUTING -s 192.0.2.9 -j MASQUERADE",
    "iptables-{0} -A FORWARD -i lo -j ACCEPT",
    "iptables-{0} -P FORWARD DROP",
    "ipset create MINE hash:ip",
    "ipset add MINE 192.0.2.9",
    "ip link add mine0 type dummy",
    "ip address add 192.0.2.99/32 dev mine0",
    "ipvsadm -A -t 198.18.0.1:80 -s lc",
    "ipvsadm -a -t 198.18.0.1:80 -r 192.0.2.9:80 -m",
)
FOREIGN_NFTABLES = (
    "nft add table ip mine",
    "nft add chain ip mine c",
    "nft add rule ip mine c ip saddr 192.0.2.9 drop",
    "nft add table inet kube-proxy",
)


@pytest.fixture
def node():
    with Namespace.create("node-1") as namespace:
        yield namespace


def run(node, *lines):
    for line in lines:
        done = node.command(line.split())
        assert (done.status, done.stderr) == (0, ""), line


def foreign_state(node):
    """Return what a proxy must not touch of sets and addresses, as the commands print it."""
    addresses = node.command(["ip", "-4", "-o", "address", "show", "dev", "mine0"]).stdout
    return node.command(["ipset", "list", "MINE"]).stdout, addresses


def test_what_is_not_its_own_outlives_every_sync_and_every_cleanup(node):
    proxier = Proxier(node, NODE.name, MODES[0], CONFIG)
    run(node, *(line.format(proxier.backend.name) for line in FOREIGN))
    if "nftables" in MODES:
        run(node, *FOREIGN_NFTABLES)
    before, beside = node_state(node, proxier.backend), foreign_state(node)
    for mode in (*MODES, *MODES[:-1]):  # from nothing, from another mode
        proxier.mode = mode
        for spec in (RICH, POOR):
            proxier.sync(spec)
        held = node_state(node, proxier.backend)
        assert held["servers"]["198.18.0.1:80/TCP"] == before["servers"]["198.18.0.1:80/TCP"]
        assert all(held["nftables"][key] == value for key, value in before["nftables"].items())
        for place, (policy, rules) in before["rules"].items():
            assert held["rules"][place][0] == policy
            assert [rule for rule in held["rules"][place][1] if rule in rules] == rules
        assert foreign_state(node) == beside
        if proxier.mode == MODES[-1]:
            continue
        proxier.cleanup()
        assert (node_state(node, proxier.backend), foreign_state(node)) == (before, beside)
        assert node.command(["ip", "link", "show", "kube-ipvs0"]).status != 0


def test_a_virtual_server_that_came_after_the_last_sync_outlives_the_cleanup(node):
    proxier = Proxier(node, NODE.name, "ipvs", CONFIG)
    proxier.sync(RICH)
    run(node, "ipvsadm -A -t 203.0.113.200:80")
    proxier.cleanup()
    assert list(node_state(node, proxier.backend)["servers"]) == ["203.0.113.200:80/TCP"]


BREAKING = {
    "iptables": ("iptables-{0} -t nat -F KUBE-SERVICES", "iptables-{0} -t nat -F", "iptables-{0} -t nat -X"),
    "ipvs": ("ipvsadm -C",),
    "nftables": ("nft flush ruleset",),
}


@every_mode
def test_a_partial_sync_into_a_broken_node_becomes_a_full_one(node, mode):
    proxier = Proxier(node, NODE.name, mode, CONFIG)
    proxier.sync(RICH)
    whole = node_state(node, proxier.backend)
    run(node, *(line.format(proxier.backend.name) for line in BREAKING[mode]))
    smaller = replace(RICH, slices=(slice_of(here(2), here(3)),))
    report = proxier.sync(smaller)
    assert (report.scope, report.why.partition(":")[0]) == ("full", "the partial one failed")
    assert proxier.sync(RICH).scope == "partial"
    assert node_state(node, proxier.backend) == whole
    run(node, *(line.format(proxier.backend.name) for line in BREAKING[mode]))
    assert proxier.resync().why == "asked for"
    assert node_state(node, proxier.backend) == whole


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "ipvs"])
def test_a_refused_sync_leaves_what_was_there_names_the_line_and_is_followed_by_a_full_one(node, mode):
    proxier = Proxier(node, NODE.name, mode, CONFIG)
    proxier.sync(POOR)
    before = node_state(node, proxier.backend)
    unknown = DetectLocal(bridge_interface="no-interface-has-so-long-a-name")
    proxier.config = replace(CONFIG, detect_local_mode="BridgeInterface", detect_local=unknown)
    with pytest.raises(
        ProgramError, match=r"the rules from before are in force|those from before"
    ) as refused:
        proxier.sync(RICH)
    assert "no-interface-has-so-long-a-name" in refused.value.where
    assert node_state(node, proxier.backend) == before
    proxier.config = CONFIG
    report = proxier.sync(POOR)
    assert (report.scope, report.why) == ("full", "the last one failed")
    assert node_state(node, proxier.backend) == before
