"""What holds for the plan of any cluster, and for getting from one plan to another."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from cluster_strategies import clusters, configs
from hypothesis import given, settings
from hypothesis import strategies as st
from nft_model import element_key, run_transaction
from proxy_clusters import NODE

from labkit.proxy.extension import Extension
from labkit.proxy.iptables import plan_iptables
from labkit.proxy.ipvs import plan_ipvs
from labkit.proxy.ipvs_changes import plan_changes
from labkit.proxy.ipvs_messages import Command
from labkit.proxy.merge import is_own_chain, merge_text
from labkit.proxy.nftables import plan_nftables
from labkit.proxy.nftables_statements import render_transaction
from labkit.proxy.plans import MODES, plan_node
from labkit.proxy.restore import parse_save, split_rule
from labkit.proxy.rules import CountedChain, CountedRule, CountedTable, undeclared_targets

quick = settings(max_examples=25, deadline=None)
modes = st.sampled_from(MODES)
modes_with_iptables = st.sampled_from(["iptables", "ipvs"])
weights = st.dictionaries(st.integers(1, 12).map("10.244.1.{}".format), st.integers(0, 9))
extensions = st.builds(Extension, weights=weights)


@quick
@given(clusters(), configs, modes_with_iptables)
def test_every_chain_jumped_to_is_declared(cluster, config, mode):
    plan = plan_node(mode, cluster, NODE, config)
    for table in plan.tables:
        targets = {rule[-1] for rules in table.chains.values() for rule in rules if rule[-2] == "-j"}
        assert {target for target in targets if is_own_chain(target)} <= set(table.chains)
    assert set(undeclared_targets(plan.tables, plan.jumps)) <= {("filter", "KUBE-FIREWALL")}


@quick
@given(clusters(), configs)
def test_every_set_that_a_rule_asks_is_made_and_no_two_virtual_servers_are_one(cluster, config):
    plan = plan_ipvs(cluster, NODE, config)
    asked = {
        value
        for table in plan.tables
        for rules in table.chains.values()
        for rule in rules
        for option, value in pairwise(rule)
        if option == "--match-set"
    }
    assert asked <= {one.name for one in plan.ipsets}
    assert len({server.key for server in plan.virtual_servers}) == len(plan.virtual_servers)
    bound = next(one.members for one in plan.ipsets if one.name == "KUBE-IPVS-IPS")
    assert sorted(plan.addresses) == list(bound)


@quick
@given(clusters(), configs)
def test_no_chain_of_a_service_is_out_of_reach(cluster, config):
    plan = plan_iptables(cluster, NODE, config)
    for table in plan.tables:
        targets = {rule[-1] for rules in table.chains.values() for rule in rules}
        hashed = {chain for chain in table.chains if chain.startswith(("KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-"))}
        assert hashed <= targets
        assert all(len(chain) <= 28 for chain in table.chains)


@quick
@given(clusters(), configs)
def test_every_endpoint_of_a_chain_is_equally_likely(cluster, config):
    nat = plan_iptables(cluster, NODE, config).tables[1]
    for name, rules in nat.chains.items():
        if not name.startswith(("KUBE-SVC-", "KUBE-SVL-")):
            continue
        choices = [rule for rule in rules if rule[-1].startswith("KUBE-SEP-") and "recent" not in rule]
        left, shares = Fraction(1), []
        for rule in choices:
            chance = (
                Fraction(rule[rule.index("--probability") + 1]) if "--probability" in rule else Fraction(1)
            )
            shares.append(left * chance)
            left *= 1 - chance
        assert left == 0
        assert all(abs(share - Fraction(1, len(choices))) < Fraction(1, 10**8) for share in shares)


def nft_ruleset(cluster, config):
    """Return what nftables mode makes of an empty ruleset, refusing what nft refuses."""
    return run_transaction(render_transaction(plan_nftables(cluster, NODE, config).transaction))


@quick
@given(clusters(), configs)
def test_in_nftables_mode_nothing_is_named_before_it_is_there_and_nothing_is_out_of_reach(cluster, config):
    ruleset = nft_ruleset(cluster, config)  # refuses what names a chain or set that is not there yet
    named = {
        name
        for texts in (*(rules for _, rules in ruleset.chains.values()), *map(ruleset.elements, ruleset.sets))
        for text in texts
        for name in re.findall(r"(?:jump |goto |@)([^\s,}]+)", text)
    }
    hooked = {name for name, (hook, _) in ruleset.chains.items() if hook}
    may_be_unused = {"reject-chain", "mark-for-masquerade"}
    local_policy_leaves = {name for name in ruleset.chains if name.startswith(("service-", "local-"))}
    assert set(ruleset.chains) - hooked - may_be_unused - local_policy_leaves <= named
    assert set(ruleset.sets) - {"cluster-ips", "nodeport-ips"} <= named
    assert all(len(name) <= 255 for name in (*ruleset.chains, *ruleset.sets))


@quick
@given(clusters(), configs)
def test_in_nftables_mode_keys_are_distinct_and_every_choice_has_its_number(cluster, config):
    ruleset = nft_ruleset(cluster, config)
    for name in ruleset.sets:
        keys = [element_key(element) for element in ruleset.elements(name)]
        assert len(keys) == len(set(keys))
    choices = [rule for _, rules in ruleset.chains.values() for rule in rules if rule.startswith("numgen")]
    for rule in choices:
        count = int(re.search(r"mod (\d+)", rule)[1])
        numbered = re.findall(r"(\d+) : goto (\S+)", rule)
        assert [int(number) for number, _ in numbered] == list(range(count))
        assert len({chain for _, chain in numbered}) == count > 0


@quick
@given(clusters(), configs)
def test_applying_a_transaction_to_what_it_made_changes_nothing(cluster, config):
    text = render_transaction(plan_nftables(cluster, NODE, config).transaction)
    once = run_transaction(text)
    before = once.sections()
    assert run_transaction(text, once).sections() == before


@quick
@given(clusters(), configs)
def test_nftables_mode_sends_a_cluster_ip_where_iptables_mode_does(cluster, config):
    iptables, ruleset = plan_iptables(cluster, NODE, config), nft_ruleset(cluster, config)
    nat = iptables.tables[1].chains
    for service in cluster.services:
        for port in service.ports:
            to = (f"-p {port.protocol.lower()}", f"-d {service.cluster_ip} --dport {port.port} ")
            chains = {rule[-1] for rule in nat["KUBE-SERVICES"] if all(one in " ".join(rule) for one in to)}
            wanted = {
                iptables.endpoint_chains[rule[-1]][1]
                for chain in chains
                for rule in nat[chain]
                if rule[-1] in iptables.endpoint_chains
            }
            key = f"{service.cluster_ip} . {port.protocol.lower()} . {port.port}"
            led = [one for one in ruleset.elements("service-ips") if element_key(one) == key]
            refused = [one for one in ruleset.elements("no-endpoint-services") if element_key(one) == key]
            assert len(led) + len(refused) == 1
            found = {
                rule.rpartition("dnat to ")[2]
                for one in led
                for choice in ruleset.chains[one.partition("goto ")[2]][1]
                if choice.startswith("numgen")
                for chain in re.findall(r"\d+ : goto (\S+)", choice)
                for rule in ruleset.chains[chain][1]
                if "dnat" in rule
            }
            assert found == wanted


@quick
@given(clusters(), configs)
def test_both_modes_send_a_cluster_ip_to_the_same_endpoints(cluster, config):
    iptables, ipvs = plan_iptables(cluster, NODE, config), plan_ipvs(cluster, NODE, config)
    nat = iptables.tables[1].chains
    local = {service.cluster_ip for service in cluster.services if service.internal_policy == "Local"}
    for server in ipvs.virtual_servers:
        is_cluster_ip = server.address.startswith("10.96.")
        if not is_cluster_ip or server.address in local:  # with policy Local the modes differ on purpose
            continue
        chains = {
            rule[-1]
            for rule in nat["KUBE-SERVICES"]
            if {("-d", server.address), ("--dport", str(server.port))} <= set(pairwise(rule))
        }
        found = {
            iptables.endpoint_chains[rule[-1]][1]
            for chain in chains
            for rule in nat[chain]
            if rule[-1] in iptables.endpoint_chains
        }
        assert found == {real.name for real in server.real_servers}


@quick
@given(clusters(), configs, modes, st.randoms())
def test_the_order_of_slices_and_endpoints_does_not_matter(cluster, config, mode, random):
    slices = [
        replace(one, endpoints=tuple(random.sample(one.endpoints, len(one.endpoints))))
        for one in cluster.slices
    ]
    random.shuffle(slices)
    shuffled = replace(cluster, slices=tuple(slices))
    assert plan_node(mode, cluster, NODE, config) == plan_node(mode, shuffled, NODE, config)


FOREIGN = parse_save(
    "*nat\n:PREROUTING ACCEPT [1:2]\n:POSTROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:MINE - [0:0]\n"
    '[3:4] -A PREROUTING -s 192.0.2.1 -m comment --comment "not kube-proxy\'s" -j MINE\nCOMMIT\n'
    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    "-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
)
Model = dict[str, dict[str, list[tuple[str, ...]]]]


@quick
@given(clusters(), clusters(), configs, configs, modes_with_iptables, modes_with_iptables)
def test_merging_from_any_state_gives_what_merging_from_nothing_gives(
    first, second, one, other, former, latter
):
    start = model_of(FOREIGN)
    before = restored(start, plan_node(former, first, NODE, one))
    plan = plan_node(latter, second, NODE, other)
    after = restored(before, plan)
    assert sorted_jumps(after) == sorted_jumps(restored(start, plan))
    assert restored(after, plan) == after


@quick
@given(clusters(), configs, modes_with_iptables)
def test_clearing_leaves_what_was_there_before(cluster, config, mode):
    start = model_of(FOREIGN)
    programmed = restored(start, plan_node(mode, cluster, NODE, config))
    assert run_restore(programmed, merge_text((), (), counted(programmed))) == start


@quick
@given(clusters(), clusters(), st.booleans(), configs, configs, extensions)
def test_changes_of_virtual_servers_lead_to_the_plan(first, second, same, one, other, extension):
    held = {server.key: server for server in plan_ipvs(first, NODE, one).virtual_servers}
    wanted = plan_ipvs(first if same else second, NODE, other, extension=extension).virtual_servers
    for change in plan_changes(wanted, list(held.values())):
        apply_change(held, change)
    assert {key: comparable(server) for key, server in held.items()} == {
        server.key: comparable(server) for server in wanted
    }
    assert plan_changes(wanted, list(held.values())) == ()


@quick
@given(clusters(), configs)
def test_virtual_servers_of_others_stay(cluster, config):
    held = plan_ipvs(cluster, NODE, config).virtual_servers
    gone = {change.server.address for change in plan_changes((), held, ("192.0.2.0/24",))}
    assert gone == {server.address for server in held if not server.address.startswith("192.0.2.")}


def apply_change(held, change):
    """Do to a table of virtual servers what the guest does, refusing what it refuses."""
    key, server, real = change.server.key, change.server, change.real
    if change.command is Command.NEW_SERVICE:
        assert key not in held
        held[key] = replace(server, real_servers=())
        return
    before = held[key]
    reals = {one.name: one for one in before.real_servers}
    match change.command:
        case Command.DEL_SERVICE:
            del held[key]
            return
        case Command.SET_SERVICE:
            held[key] = replace(server, real_servers=before.real_servers)
            return
        case Command.NEW_DEST:
            assert real.name not in reals
            reals[real.name] = real
        case Command.SET_DEST:
            assert real.name in reals
            reals[real.name] = real
        case Command.DEL_DEST:
            del reals[real.name]
    held[key] = replace(before, real_servers=tuple(reals.values()))


def comparable(server):
    return replace(server, real_servers=frozenset(server.real_servers), service_port="")


def restored(model: Model, plan) -> Model:
    canaries = ("nat", "filter") if plan.mode == "iptables" else ()
    return run_restore(model, merge_text(plan.tables, plan.jumps, counted(model), canaries))


def run_restore(model: Model, text: str) -> Model:
    """Return what `iptables-restore --noflush` makes of the tables, refusing what it refuses."""
    after = {table: {name: list(rules) for name, rules in chains.items()} for table, chains in model.items()}
    for line in text.splitlines():
        verb, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if line.startswith("*"):
            chains = after.setdefault(line[1:], {})
        elif line.startswith(":"):
            chains[verb[1:]] = []
        elif verb == "-A":
            chains[name].append(split_rule(rule))
        elif verb == "-I":
            chains[name].insert(0, split_rule(rule))
        elif verb == "-D":
            chains[name].remove(split_rule(rule))
        elif verb == "-X":
            assert chains.pop(name) == []
        else:
            assert line == "COMMIT"
            assert all(
                rule[-1] in chains for rules in chains.values() for rule in rules if is_own_chain(rule[-1])
            )
    return after


def counted(model: Model) -> dict[str, CountedTable]:
    return {
        table: CountedTable(
            table,
            {
                name: CountedChain("-", 0, 0, tuple(CountedRule(rule, 0, 0) for rule in rules))
                for name, rules in chains.items()
            },
        )
        for table, chains in model.items()
    }


def model_of(tables) -> Model:
    return {
        table: {name: [one.rule for one in chain.rules] for name, chain in held.chains.items()}
        for table, held in tables.items()
    }


def sorted_jumps(model: Model) -> dict:
    """Return the model with built-in chains as multisets: a jump that is there stays where it stands."""
    return {
        (table, name): rules if is_own_chain(name) else Counter(rules)
        for table, chains in model.items()
        for name, rules in chains.items()
        if (table, name) != ("filter", "KUBE-FIREWALL")
    }
