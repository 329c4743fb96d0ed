"""What is said of mutants that survive, held against the plans: that they are mutants, and the proofs."""

import pytest
from flows.mutants import mutants
from flows.scene import CLUSTER, NODES, OTHER_ADDRESS
from flows.survivors import SURVIVORS, survivor_for

from labkit.proxy.plans import MODES, lab_config, plan_node
from labkit.proxy.restore import render_rule


@pytest.fixture(scope="module")
def plans():
    own = (NODES[0].address, OTHER_ADDRESS)
    return {mode: plan_node(mode, CLUSTER, NODES[0], lab_config(CLUSTER), addresses=own) for mode in MODES}


def equivalents(plans, mode, word):
    """Return the mutants of a mode that are said to be its plan and that hold a word."""
    known = ((str(one), survivor_for(mode, str(one))) for one in mutants(plans[mode]))
    found = [lost for lost, survivor in known if survivor and survivor.equivalent and word in lost]
    assert found
    return found


def rules_of(plan, table, chain):
    (rules,) = (one.chains[chain] for one in plan.tables if one.name == table)
    return [render_rule(rule) for rule in rules]


def test_every_known_survivor_is_a_mutant_of_a_plan(plans):
    found = {survivor_for(mode, str(one)) for mode in MODES for one in mutants(plans[mode])}
    assert set(SURVIVORS) <= found


def test_a_rule_without_a_target_has_no_match_either(plans):
    for lost in equivalents(plans, "iptables", "other traffic to"):
        chain_and_comment = lost.partition("other traffic to")[0].split()
        assert chain_and_comment[-3:] == ["-m", "comment", "--comment"] or " -j " not in lost
        assert not any(option in lost for option in (" -j ", " -s ", " -d ", " -p "))


def test_a_node_port_with_policy_local_has_returned_before_the_other_set_is_asked(plans):
    plan = plans["ipvs"]
    members = {one.name: one.members for one in plan.ipsets}
    for lost in equivalents(plans, "ipvs", "KUBE-NODE-PORT-"):
        name, member = lost.split()[-2:]
        local = name.replace("NODE-PORT-", "NODE-PORT-LOCAL-")
        rules = rules_of(plan, "nat", "KUBE-NODE-PORT")
        (returned,) = (place for place, rule in enumerate(rules) if f"--match-set {local} " in rule)
        (asked,) = (place for place, rule in enumerate(rules) if f"--match-set {name} " in rule)
        assert member in members[local]
        assert returned < asked
        assert rules[returned].endswith("-j RETURN")
        named = [
            one
            for table in plan.tables
            for chain in table.chains
            for one in rules_of(plan, table.name, chain)
        ]
        assert sum(f"--match-set {name} " in rule for rule in named) == 1


def test_what_ipvs_mode_marks_or_guards_is_always_at_an_address_of_the_node(plans):
    plan = plans["ipvs"]
    own = {*plan.addresses, NODES[0].address, OTHER_ADDRESS}
    for one in plan.ipsets:
        if one.name in {
            "KUBE-CLUSTER-IP",
            "KUBE-EXTERNAL-IP",
            "KUBE-EXTERNAL-IP-LOCAL",
            "KUBE-LOAD-BALANCER",
            "KUBE-LOAD-BALANCER-FW",
        }:
            assert {member.partition(",")[0] for member in one.members} <= own
    for rule in rules_of(plan, "nat", "KUBE-SERVICES"):
        assert any(
            word in rule
            for word in ("-s 127.0.0.0/8", "--match-set KUBE-", "--dst-type LOCAL -j KUBE-NODE-PORT")
        )
    for rule in rules_of(plan, "filter", "KUBE-PROXY-FIREWALL"):
        assert "--match-set KUBE-LOAD-BALANCER-FW dst,dst" in rule


def test_a_virtual_server_without_real_servers_has_no_connections_to_drop(plans):
    for lost in equivalents(plans, "ipvs", "KUBE-IPVS-OUT-FILTER"):
        address = lost.partition("--vaddr ")[2].split()[0]
        servers = [one for one in plans["ipvs"].virtual_servers if one.key.startswith(f"{address}:")]
        assert [one.real_servers for one in servers] == [()]


def test_a_pod_leaves_the_external_chain_of_policy_local_before_the_local_one(plans):
    (lost,) = equivalents(plans, "iptables", "local-leaving")
    rules = [
        render_rule(rule)
        for one in plans["iptables"].tables
        for chain in one.chains.values()
        for rule in chain
    ]
    (external,) = (
        chain
        for one in plans["iptables"].tables
        for chain, own in one.chains.items()
        if chain.startswith("KUBE-EXT-")
        and any("default/local-leaving:tcp" in render_rule(rule) for rule in own)
    )
    first, *_, last = rules_of(plans["iptables"], "nat", external)
    assert "-s 10.244.0.0/16" in first
    local = last.split()[-1]
    assert local.startswith("KUBE-SVL-")
    assert [rule for rule in rules if rule.endswith(f"-j {local}")] == [last]
    (to_endpoint,) = rules_of(plans["iptables"], "nat", local)
    chain = lost.removeprefix("rule: nat ").split()[0]
    assert to_endpoint.endswith(f"-j {chain}")
    assert [rule for rule in rules if rule.endswith(f"-j {chain}")] == [to_endpoint]
