"""What a partial sync plans, on models of the kernel: it ends where a full one does, and can be undone."""

from __future__ import annotations

from cluster_strategies import clusters, configs
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_clusters import NODE

from labkit.proxy.conntrack import plan_stale_flows
from labkit.proxy.extension import NO_EXTENSION
from labkit.proxy.iptables import plan_iptables_ports
from labkit.proxy.iptables_changes import access_lines, last_lines, own_lines, plan_rewrite, shared_chains
from labkit.proxy.ipvs import RealServer, VirtualServer
from labkit.proxy.ipvs_draining import plan_draining, plan_removals
from labkit.proxy.ipvs_messages import Change, Command, CountedReal, Traffic
from labkit.proxy.ipvs_share import Members, ipvs_share
from labkit.proxy.nftables_changes import plan_statements, service_share
from labkit.proxy.restore import render_table
from labkit.proxy.services import forwarded_ports, service_ports
from labkit.proxy.settings import node_settings
from labkit.proxy.tracking import ClusterChanges, TrackedCluster
from labkit.proxy.writers import Basis, PortsChange

quick = settings(max_examples=25, deadline=None)


def ports_by_service(cluster, config):
    wanted = TrackedCluster(cluster)
    planned = node_settings(NODE, config)
    return {key: service_ports(one, wanted.slices_of(key), planned) for key, one in wanted.services.items()}


def without_names(spec):
    return {one.key: one for one in spec.services}, {(one.service, one.name): one for one in spec.slices}


@quick
@given(clusters(), clusters())
def test_changes_lead_from_one_cluster_to_the_other_and_name_no_more(first, second):
    tracked, told = TrackedCluster(first), TrackedCluster(first)
    changes = tracked.become(second)
    told.apply(changes)
    assert tracked.spec is second
    assert without_names(told.spec) == without_names(second)
    assert tracked.become(second) == ClusterChanges()
    for key in changes.touched:
        assert (told.services.get(key), told.slices_of(key)) != (
            TrackedCluster(first).services.get(key),
            TrackedCluster(first).slices_of(key),
        )


@quick
@given(clusters(), configs)
def test_the_shares_of_all_services_make_up_the_whole_tables(cluster, config):
    planned = node_settings(NODE, config)
    ports = ports_by_service(cluster, config)
    last = last_lines(planned)
    made = shared_chains(last, map(access_lines, ports.values()), last)
    for some in ports.values():
        made |= own_lines(some, planned, explained=True)
    plan = plan_iptables_ports(forwarded_ports(cluster, planned), planned)
    whole = [line for table in plan.tables for line in render_table(table) if line.startswith("-A")]
    assert sorted(line for lines in made.values() for line in lines) == sorted(whole)
    for table in plan.tables:
        for chain in table.chains:
            of_chain = [line for line in render_table(table) if line.startswith(f"-A {chain} ")]
            assert list(made[table.name, chain]) == of_chain


@quick
@given(clusters(), clusters(), configs)
def test_a_rewrite_and_its_undoing_name_the_same_chains(first, second, config):
    planned = node_settings(NODE, config)
    before, after = (
        {
            place: lines
            for some in ports_by_service(one, config).values()
            for place, lines in own_lines(some, planned, explained=True).items()
        }
        for one in (first, second)
    )
    there, back = plan_rewrite(before, after), plan_rewrite(after, before)
    named = {*there.written, *there.removed}
    assert named == {*back.written, *back.removed}
    assert {**before, **there.written}.keys() - set(there.removed) == after.keys()
    assert plan_rewrite(after, after).text == ""


@quick
@given(clusters(), clusters(), configs)
def test_in_nftables_nothing_is_removed_while_it_is_named(first, second, config):
    planned = node_settings(NODE, config)
    before, after = (
        service_share(ports_by_service(one, config).values(), planned) for one in (first, second)
    )
    chains = {name: list(rules) for name, rules in before.chains.items()}
    sets, elements = dict(before.sets), dict(before.elements)
    for one in plan_statements(before, after):
        words = {word.strip("@{}") for rules in chains.values() for text in rules for word in text.split()}
        words |= {word for _, body in elements for word in body.split()}
        match one.verb, one.kind:
            case "add", "chain":
                assert chains.setdefault(one.name, []) == []
            case "add", "rule":
                chains[one.name].append(one.body)
            case "add", "set":
                assert one.name not in sets
                sets[one.name] = one.body
            case "add", "element":
                assert (one.name, one.body) not in elements
                elements[one.name, one.body] = None
            case "flush", "chain":
                chains[one.name].clear()
            case "delete", "element":
                key = one.body.strip("{ }")
                (gone,) = [
                    e
                    for e in elements
                    if e[0] == one.name and e[1].strip("{ }").split(" comment ")[0].split(" : ")[0] == key
                ]
                del elements[gone]
            case "delete", kind:
                assert one.name not in words
                del (chains if kind == "chain" else sets)[one.name]
    assert (chains, sets, set(elements)) == (after.chains, after.sets, set(after.elements))
    assert plan_statements(after, after) == ()


@quick
@given(clusters(), clusters(), configs)
def test_counted_members_come_and_go_with_their_last_service(first, second, config):
    basis = Basis(node_settings(NODE, config), config, NO_EXTENSION)
    before, after = (ports_by_service(one, config) for one in (first, second))
    wanted = ipvs_share((port for some in after.values() for port in some), basis).members
    members = Members(ipvs_share((port for some in before.values() for port in some), basis).members)
    held = set(ipvs_share((port for some in before.values() for port in some), basis).members)
    for key in {**before, **after}:
        share = [ipvs_share(ports.get(key, ()), basis).members for ports in (before, after)]
        new, gone = members.exchange(*share)
        assert held.isdisjoint(new)
        assert held.issuperset(gone)
        held = held.union(new).difference(gone)
    assert held == set(wanted)
    assert +members.sizes == Members(wanted).sizes


SERVERS = {name: VirtualServer("10.96.0.1", 80, name, "rr", 0, 0, (), "") for name in ("TCP", "UDP", "SCTP")}
reals = st.sampled_from([RealServer(f"10.244.1.{number}", 80) for number in range(3)])
steps = st.tuples(
    st.sampled_from(["want", "drop", "look"]), st.sampled_from(sorted(SERVERS)), reals, st.integers(0, 2)
)


@quick
@given(st.lists(steps, max_size=30))
def test_a_real_server_goes_only_without_connections_and_is_never_lost(history):
    held, waiting, wanted = {}, {}, set()
    for step, protocol, real, busy in history:
        server, key = SERVERS[protocol], (SERVERS[protocol].key, real.name)
        if step == "look":
            connections = {one: busy if one == key else 1 for one in held}
            by_server = {
                one.key: [
                    CountedReal(held[k], connections[k], 0, Traffic(0, 0, 0, 0, 0))
                    for k in held
                    if k[0] == one.key
                ]
                for one in SERVERS.values()
            }
            due = plan_removals(waiting, by_server)
        elif step == "want" and key not in wanted:
            wanted.add(key)
            due = plan_draining([Change(Command.NEW_DEST, server, real)], waiting, {})
        elif step == "drop" and key in wanted:
            wanted.remove(key)
            due = plan_draining([Change(Command.DEL_DEST, server, real)], waiting, {key: busy})
        else:
            continue
        for change in due.changes:
            place = (change.server.key, change.real.name)
            if change.command is Command.DEL_DEST:
                assert place[0].endswith(("UDP", "SCTP")) or step != "drop" or not busy
                del held[place]
            else:
                assert (change.command is Command.NEW_DEST) == (place not in held)
                held[place] = change.real
        waiting = due.waiting
        assert set(held) == wanted | set(waiting)
        assert all(held[place].weight == (place in wanted) for place in held)


@quick
@given(clusters(), clusters(), configs)
def test_only_services_over_udp_that_changed_have_stale_flows(first, second, config):
    before, after = (ports_by_service(one, config) for one in (first, second))
    changes = [PortsChange(before.get(key, ()), after.get(key, ())) for key in {**before, **after}]
    stale = plan_stale_flows(changes)
    udp = [port for change in changes for port in (*change.before, *change.after) if port.protocol == "UDP"]
    known = {address for port in udp for address in (port.cluster_ip, *port.external_ips, *port.vips)}
    assert stale.addresses <= known
    assert stale.node_ports <= {port.node_port for port in udp}
    assert {way for way, _ in stale.translations} <= known | {port.node_port for port in udp}
    assert not plan_stale_flows(PortsChange(some, some) for some in after.values())
