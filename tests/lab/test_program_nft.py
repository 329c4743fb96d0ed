"""nftables mode in a real namespace: what is written, what is left alone, what a refusal leaves."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from cluster_strategies import clusters, configs
from hypothesis import HealthCheck, given, settings
from nft_model import run_transaction
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.errors import ProgramError, RequestError
from labkit.fabric.namespace import Namespace
from labkit.guest.probe import takes_nftables
from labkit.proxy.iptables import plan_iptables
from labkit.proxy.nftables import plan_nftables
from labkit.proxy.nftables_statements import render_transaction, rule
from labkit.proxy.printing import plan_script
from labkit.proxy.program import apply_plan, clear, read_counts
from labkit.proxy.program_nft import has_table, read_table
from labkit.proxy.program_tables import find_backend, read_tables
from labkit.spec.proxyconfig import ConntrackConfig, ProxyConfig

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(not takes_nftables(), reason="this Linux has no nf_tables for IPv4"),
]
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16")
RICH = cluster(
    load_balancer(
        external_policy="Local",
        # Overlapping, one within another, and one that is everything: nft must take what kube-proxy writes.
        source_ranges=("198.51.100.0/24", "172.16.0.0/12", "172.18.0.0/16", "0.0.0.0/0"),
        affinity_timeout_s=60,
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


def ruleset(node):
    """Return all tables as nft prints them; what a set remembers loses its remaining time."""
    printed = node.command(["nft", "list", "ruleset"]).stdout
    return re.sub(r" expires \S+", "", printed)


def foreign_tables(node):
    """Return the tables of others, as nft prints them."""
    return [
        table
        for table in re.findall(r"^table .*?^}$", ruleset(node), re.MULTILINE | re.DOTALL)
        if not table.startswith("table ip kube-proxy ")
    ]


def test_the_namespace_holds_every_chain_and_set_of_the_plan(node, backend):
    plan = plan_nftables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    held, wanted = read_table(node), run_transaction(render_transaction(plan.transaction))
    assert held.rules == {name: len(rules) for name, (_, rules) in wanted.chains.items()}
    assert held.elements == {name: len(wanted.elements(name)) for name in wanted.sets}


def test_settings_of_connection_tracking_are_written(node, backend):
    config = replace(CONFIG, conntrack=ConntrackConfig(tcp_be_liberal=True))
    apply_plan(plan_nftables(POOR, NODE, config), node, backend)
    assert node.read_sysctl("net/netfilter/nf_conntrack_tcp_be_liberal") == "1"


def test_applying_twice_changes_nothing(node, backend):
    plan = plan_nftables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    once = ruleset(node)
    apply_plan(plan, node, backend)
    assert ruleset(node) == once


def test_a_smaller_cluster_leaves_nothing_of_the_larger_one(node, backend):
    apply_plan(plan_nftables(POOR, NODE, CONFIG), node, backend)
    from_nothing = ruleset(node)
    apply_plan(plan_nftables(RICH, NODE, CONFIG), node, backend)
    assert ruleset(node) != from_nothing
    apply_plan(plan_nftables(POOR, NODE, CONFIG), node, backend)
    assert ruleset(node) == from_nothing


def test_tables_of_others_outlive_everything(node, backend):
    others = (
        "add table ip mine\nadd set ip mine s { type ipv4_addr; }\nadd element ip mine s { 192.0.2.1 }\n"
        "add chain ip mine c\nadd rule ip mine c ip daddr @s drop\n"
        "add table ip6 kube-proxy\nadd chain ip6 kube-proxy c { type filter hook input priority 0; }\n"
        "add table inet kube-proxy\nadd chain inet kube-proxy services\n"
    )
    assert node.command(["nft", "-f", "-"], stdin=others).status == 0
    rules = node.command([f"iptables-{backend.name}", "-A", "FORWARD", "-i", "lo", "-j", "ACCEPT"])
    assert rules.status == 0
    before = foreign_tables(node)
    assert len(before) == 3 + (backend.name == "nft")
    for plan in (
        plan_nftables(RICH, NODE, CONFIG),
        plan_iptables(RICH, NODE, CONFIG),
        plan_nftables(POOR, NODE, CONFIG),
    ):
        apply_plan(plan, node, backend)
        assert set(before[:3]) <= set(foreign_tables(node))
    clear(node, backend)
    assert set(before[:3]) <= set(foreign_tables(node))
    assert not has_table(node)
    held = read_tables(node, backend)["filter"].chains
    assert [one.rule for one in held["FORWARD"].rules] == [("-i", "lo", "-j", "ACCEPT")]


def test_what_affinity_remembers_outlives_a_sync_as_long_as_its_endpoint(node, backend):
    apply_plan(plan_nftables(RICH, NODE, CONFIG), node, backend)
    first, second, gone = sorted(read_table(node).sticky)
    for name, client in ((first, "192.0.2.8"), (second, "192.0.2.9"), (gone, "192.0.2.10")):
        element = f"{{ {client} expires 50s }}"
        assert node.command(["nft", f"add element ip kube-proxy {name} {element}"]).status == 0
    smaller = replace(RICH, slices=(slice_of(here(2), here(3), elsewhere(2)),))
    endpoint = re.search(r"__(.*)/8080", gone)[1]
    kept = tuple(one for one in smaller.slices[0].endpoints if one.address != endpoint)
    assert len(kept) == 2
    apply_plan(plan_nftables(replace(smaller, slices=(slice_of(*kept),)), NODE, CONFIG), node, backend)
    sticky = read_table(node).sticky
    assert {name: list(clients) for name, clients in sticky.items()} == {
        first: ["192.0.2.8"],
        second: ["192.0.2.9"],
    }
    assert all(0 < left <= 50 for clients in sticky.values() for left in clients.values())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("jump nowhere", "No such file or directory"),
        ("tcp dport 80 ip saddr 1.2.3.4.5 drop", "Error"),
        ("meta l4proto tcp dnat to", "syntax error"),
    ],
    ids=["unknown target", "no address", "unreadable"],
)
def test_a_refused_rule_is_named_and_leaves_the_rules_from_before(node, backend, bad, words):
    apply_plan(plan_nftables(POOR, NODE, CONFIG), node, backend)
    before = ruleset(node)
    plan = plan_nftables(RICH, NODE, CONFIG)
    broken = (*plan.transaction[:-2], rule("services", bad), *plan.transaction[-2:])
    with pytest.raises(ProgramError) as refusal:
        apply_plan(replace(plan, transaction=broken), node, backend)
    place = len(plan.transaction) - 1
    assert refusal.value.where.startswith(f"node-1, line {place}: add rule ip kube-proxy services {bad}")
    if words != "Error":
        assert words in refusal.value.message
    assert ruleset(node) == before


def test_a_refusal_leaves_the_mode_from_before_in_force(node, backend):
    apply_plan(plan_iptables(POOR, NODE, CONFIG), node, backend)
    before = read_tables(node, backend)
    plan = plan_nftables(RICH, NODE, CONFIG)
    with pytest.raises(ProgramError):
        apply_plan(
            replace(plan, transaction=(*plan.transaction, rule("services", "jump nowhere"))), node, backend
        )
    assert read_tables(node, backend) == before
    assert not has_table(node)


def test_clearing_leaves_no_table_and_a_second_time_does_nothing(node, backend):
    apply_plan(plan_nftables(RICH, NODE, CONFIG), node, backend)
    clear(node, backend)
    assert "kube-proxy" not in ruleset(node)
    clear(node, backend)
    assert read_table(node).rules == {}


def test_the_printed_script_programs_what_applying_does(node, backend):
    plan = plan_nftables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    applied = ruleset(node)
    clear(node, backend)
    done = node.command(["bash", "-e"], stdin=plan_script(plan))
    assert (done.status, done.stderr) == (0, "")
    assert ruleset(node) == applied


def test_nobody_counts_in_nftables_mode(node, backend):
    plan = plan_nftables(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    with pytest.raises(RequestError, match="count nothing") as refused:
        read_counts(plan, node, backend)
    assert refused.value.todo


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clusters(), clusters(), configs, configs)
def test_from_any_cluster_to_any_other_is_as_from_nothing(first, second, one, other):
    wanted = plan_nftables(second, NODE, other)
    states = []
    for plans in ((wanted,), (plan_nftables(first, NODE, one), wanted)):
        with Namespace.create("node-1") as node:
            for plan in plans:
                apply_plan(plan, node, find_backend(node))
            states.append(ruleset(node))
    assert states[0] == states[1] != ""
