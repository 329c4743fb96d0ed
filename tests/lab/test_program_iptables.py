"""iptables mode in a real namespace: what is written, what is left alone, what a refusal leaves."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.errors import ProgramError
from labkit.fabric.namespace import Namespace
from labkit.proxy.iptables import plan_iptables
from labkit.proxy.ipvs import plan_ipvs
from labkit.proxy.program import apply_plan, clear
from labkit.proxy.program_tables import find_backend, read_tables
from labkit.proxy.rules import Table
from labkit.spec.proxyconfig import IptablesConfig, ProxyConfig

pytestmark = pytest.mark.usefixtures("nothing_left")
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16")
RICH = cluster(
    load_balancer(
        external_policy="Local",
        source_ranges=("198.51.100.0/24", "172.16.0.0/12"),
        affinity_timeout_s=60,
        health_check_node_port=32000,
        external_ips=("192.0.2.1",),
    ),
    slice_of(here(2), here(3), elsewhere(2)),
    replace(service("empty", cluster_ip="10.96.0.11"), external_ips=("192.0.2.2",)),
)
POOR = cluster(service(), slice_of(elsewhere(7)))


@pytest.fixture
def node():
    with Namespace.create("node-1") as namespace:
        yield namespace


@pytest.fixture
def backend(node):
    return find_backend(node)


def rules_without_counters(node, backend):
    return {
        (table, name): (chain.policy, [one.rule for one in chain.rules])
        for table, held in read_tables(node, backend).items()
        for name, chain in held.chains.items()
    }


NOTE = ("-m", "comment", "--comment", 'a "quoted" \\ one')


def add_rules_of_others(node, backend):
    for words in (
        ("-t", "nat", "-N", "MINE"),
        ("-t", "nat", "-A", "PREROUTING", "-s", "192.0.2.9", *NOTE, "-j", "MINE"),
        ("-A", "FORWARD", "-i", "lo", "-j", "ACCEPT"),
        ("-P", "FORWARD", "DROP"),
        ("-t", "mangle", "-A", "INPUT", "-p", "icmp", "-j", "ACCEPT"),
    ):
        assert node.command([f"iptables-{backend.name}", *words]).status == 0


def test_the_namespace_holds_every_chain_of_the_plan_with_its_rules(node, backend):
    plan = plan_iptables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    held = read_tables(node, backend)
    for table in plan.tables:
        chains = held[table.name].chains
        ours = {name: len(chain.rules) for name, chain in chains.items() if name.startswith("KUBE-")}
        assert ours.pop("KUBE-PROXY-CANARY") == 0
        assert ours == {name: len(rules) for name, rules in table.chains.items()}
    for jump in plan.jumps:
        chain = held[jump.table].chains[jump.chain]
        assert [one.rule for one in chain.rules].count(jump.rule) == 1
    assert held["mangle"].chains["KUBE-PROXY-CANARY"].rules == ()
    assert node.read_sysctl("net/ipv4/conf/all/route_localnet") == "1"


def test_jumps_stand_in_the_order_that_inserting_gives(node, backend):
    plan = plan_iptables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    held = read_tables(node, backend)
    wanted = [jump.rule for jump in reversed(plan.jumps) if (jump.table, jump.chain) == ("filter", "INPUT")]
    assert [one.rule for one in held["filter"].chains["INPUT"].rules] == wanted


def test_applying_twice_changes_nothing(node, backend):
    plan = plan_iptables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    once = rules_without_counters(node, backend)
    apply_plan(plan, node, backend)
    assert rules_without_counters(node, backend) == once


def test_a_smaller_cluster_leaves_no_chain_of_the_larger_one(node, backend):
    apply_plan(plan_iptables(POOR, NODE, CONFIG), node, backend)
    from_nothing = rules_without_counters(node, backend)
    apply_plan(plan_iptables(RICH, NODE, CONFIG), node, backend)
    assert rules_without_counters(node, backend) != from_nothing
    apply_plan(plan_iptables(POOR, NODE, CONFIG), node, backend)
    assert rules_without_counters(node, backend) == from_nothing


def test_rules_of_others_outlive_everything(node, backend):
    add_rules_of_others(node, backend)
    before = rules_without_counters(node, backend)
    for plan in (
        plan_iptables(RICH, NODE, CONFIG),
        plan_ipvs(RICH, NODE, CONFIG),
        plan_iptables(POOR, NODE, CONFIG),
    ):
        apply_plan(plan, node, backend)
        after = rules_without_counters(node, backend)
        others = {
            key: (policy, others_of(rules)) for key, (policy, rules) in after.items() if not is_kubes(key[1])
        }
        assert others == before
    clear(node, backend)
    assert rules_without_counters(node, backend) == before


def is_kubes(name):
    return name.startswith("KUBE-")


def others_of(rules):
    return [rule for rule in rules if not is_kubes(rule[-1])]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (("-j", "NOWHERE"), "NOWHERE"),
        (("-p", "tcp", "--dport", "http-ish", "-j", "ACCEPT"), "http-ish"),
        (("-d", "192.0.2.77", "-j", "REJECT"), "only valid in filter table"),
    ],
    ids=["unknown target", "unreadable", "refused by the guest"],
)
def test_a_refused_rule_is_named_and_leaves_the_rules_from_before(node, backend, bad, words):
    add_rules_of_others(node, backend)
    apply_plan(plan_iptables(POOR, NODE, CONFIG), node, backend)
    before = read_tables(node, backend)
    plan = plan_iptables(RICH, NODE, CONFIG)
    filter_, nat = plan.tables
    broken = Table("nat", {**nat.chains, "KUBE-MARK-MASQ": (*nat.chains["KUBE-MARK-MASQ"], bad)})
    with pytest.raises(ProgramError) as refusal:
        apply_plan(replace(plan, tables=(filter_, broken)), node, backend)
    assert re.search(r"line \d+: -A KUBE-MARK-MASQ " + re.escape(" ".join(bad)), refusal.value.where)
    assert words in refusal.value.message
    assert read_tables(node, backend) == before


def test_a_refusal_in_an_untouched_namespace_leaves_it_without_rules(node, backend):
    plan = plan_iptables(RICH, NODE, CONFIG)
    filter_, nat = plan.tables
    broken = Table("nat", {**nat.chains, "KUBE-SERVICES": (("-j", "REJECT"),)})
    with pytest.raises(ProgramError):
        apply_plan(replace(plan, tables=(filter_, broken)), node, backend)
    assert {
        key for key, (_, rules) in rules_without_counters(node, backend).items() if rules or is_kubes(key[1])
    } == set()


def test_a_firewall_chain_of_the_kubelets_is_not_emptied(node, backend):
    assert node.command([f"iptables-{backend.name}", "-N", "KUBE-FIREWALL"]).status == 0
    assert (
        node.command([f"iptables-{backend.name}", "-A", "KUBE-FIREWALL", "-i", "lo", "-j", "RETURN"]).status
        == 0
    )
    config = ProxyConfig(iptables=IptablesConfig(localhost_node_ports=False))
    apply_plan(plan_iptables(POOR, NODE, config), node, backend)
    held = read_tables(node, backend)["filter"].chains
    assert [one.rule for one in held["KUBE-FIREWALL"].rules] == [("-i", "lo", "-j", "RETURN")]
    assert held["INPUT"].rules[0].rule == ("-j", "KUBE-FIREWALL")
