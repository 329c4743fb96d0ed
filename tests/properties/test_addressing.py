"""Whatever the cluster: the plan is the same twice, nothing in it clashes, and every packet arrives."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from clusters import cluster_with
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.spec.addressing import AddressPlan, ClientPlan, plan_addresses
from labkit.spec.clients import networks_of
from labkit.spec.model import ClusterSpec, Node, Pod
from labkit.spec.naming import port_names

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)


@st.composite
def clusters(draw) -> ClusterSpec:
    nodes = [
        Node(
            f"n{i}",
            f"172.18.{i}.2" if draw(st.booleans()) else f"192.168.{i}.2",
            f"10.{i}.0.0/{draw(st.integers(16, 26))}",
        )
        for i in range(draw(st.integers(1, 4)))
    ]
    pods = []
    for number, name in enumerate(draw(st.lists(names, max_size=6))):
        node = draw(st.integers(0, len(nodes) - 1))
        address = f"10.{node}.0.{number + 2}" if draw(st.integers(0, 3)) else f"100.64.0.{number}"
        pods.append(Pod(f"space{number}", name, f"n{node}", address))
    return cluster_with(nodes, pods)


@st.composite
def plans(draw) -> AddressPlan:
    cluster = draw(clusters())
    clients = [
        ClientPlan("client", "n0"),
        ClientPlan("outside"),
        ClientPlan("distant", None, ("203.0.113.9",)),
    ]
    clients.append(ClientPlan("second", cluster.nodes[-1].name))
    plan = plan_addresses(cluster, clients)
    assert plan == plan_addresses(cluster, clients)
    return plan


def walk(plan: AddressPlan, start: str, destination: str) -> str | None:
    """Follow a packet by the plan's routes, its longest prefixes and its bridges; return where it ends."""
    place = plan.namespace(start)
    for _ in range(4):
        if any(address.address == destination for address in place.addresses):
            return place.name
        connected = [
            (IPv4Network((a.address, a.prefix_length), strict=False), "", a.interface)
            for a in place.addresses
        ]
        routes = connected + [(IPv4Network(r.destination), r.via, r.interface) for r in place.routes]
        fitting = [route for route in routes if IPv4Address(destination) in route[0]]
        if not fitting:
            return None
        _, via, interface = max(fitting, key=lambda route: route[0].prefixlen)
        bridge = place.name if interface.name == "cni0" else plan.link(place.name).outer
        beside = {bridge, *(link.inner for link in plan.links if link.outer == bridge)} - {place.name}
        hop = via or destination
        owners = [name for name in beside if any(a.address == hop for a in plan.namespace(name).addresses)]
        if len(owners) != 1:
            return None
        place = plan.namespace(owners[0])
    return None


@settings(max_examples=30, deadline=None)
@given(plans())
def test_every_address_is_reached_from_everywhere(plan):
    for start in plan.namespaces:
        if start.kind == "lan":
            continue
        for place in plan.namespaces:
            own = [a.address for a in place.addresses]
            if place.kind == "node":
                own = own[
                    :1
                ]  # a foreign cni0 is reached too, but only its node answers: that is the next hop's matter
            for address in {*own[:1], *own[-1:]}:
                assert walk(plan, start.name, address) == place.name


@settings(max_examples=30, deadline=None)
@given(plans())
def test_no_cluster_address_is_routed_outside_of_the_cluster(plan):
    assert walk(plan, "outside", "10.96.0.10") is None


@settings(max_examples=30, deadline=None)
@given(plans())
def test_names_indexes_addresses_and_macs_are_unique(plan):
    assert len({n.name for n in plan.namespaces}) == len(plan.namespaces)
    addresses = [a.address for n in plan.namespaces for a in n.addresses]
    assert len(addresses) == len(set(addresses))
    macs = [link.interface.mac for link in plan.links] + [link.port.mac for link in plan.links]
    macs += [n.bridge.mac for n in plan.namespaces if n.bridge]
    assert len(macs) == len(set(macs))
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs), "locally administered, of one interface"
    for namespace in plan.namespaces:
        here = [link.port for link in plan.links if link.outer == namespace.name]
        here += [link.interface for link in plan.links if link.inner == namespace.name]
        here += [namespace.bridge] if namespace.bridge else []
        assert len({i.index for i in here}) == len({i.name for i in here}) == len(here)
        assert all(len(i.name) <= 15 for i in here)


@settings(max_examples=30, deadline=None)
@given(plans())
def test_every_neighbour_is_who_has_the_address_and_every_gateway_is_known(plan):
    macs = {a.address: a.interface.mac for n in plan.namespaces for a in n.addresses}
    for namespace in plan.namespaces:
        known = {neighbour.address for neighbour in namespace.neighbours}
        assert all(macs[neighbour.address] == neighbour.mac for neighbour in namespace.neighbours)
        assert {route.via for route in namespace.routes if route.via} <= known


@given(st.lists(names, unique=True, max_size=60))
def test_port_names_are_unique_short_and_stable(inner_names):
    ports = port_names(inner_names)
    assert len(set(ports)) == len(inner_names)
    assert all(port.startswith("veth-") and len(port) <= 15 for port in ports)
    assert ports[:7] == port_names(inner_names[:7])


@given(st.sets(st.integers(1, 2**32 - 2), min_size=1, max_size=40))
def test_a_clients_networks_hold_its_addresses_and_no_others(numbers):
    client = ClientPlan("c", None, tuple(str(IPv4Address(number)) for number in numbers))
    networks = networks_of(client.addresses)
    assert sorted(int(address) for network in networks for address in network) == sorted(numbers)


@given(st.integers(1, 2**32 - 300), st.integers(1, 200))
def test_a_row_of_addresses_needs_few_networks(first, count):
    client = ClientPlan("c", None, tuple(str(IPv4Address(first + n)) for n in range(count)))
    assert len(networks_of(client.addresses)) <= 2 * count.bit_length()
