from __future__ import annotations

import pytest
from clusters import cluster_of, cluster_with

from labkit.errors import RequestError
from labkit.spec.addressing import ClientPlan, plan_addresses
from labkit.spec.addressplan import Address, Neighbour, Route
from labkit.spec.model import Node, Pod
from labkit.spec.naming import port_names

NODE = Node("node-1", "172.18.0.2", "10.244.1.0/24")


def pod(name: str, address: str, namespace: str = "default", node: str = "node-1") -> Pod:
    return Pod(namespace, name, node, address)


def test_nodes_pods_and_two_clients_are_namespaces_beside_the_lan():
    plan = plan_addresses(cluster_of(pods=2))
    assert [(n.name, n.kind) for n in plan.namespaces] == [
        ("lan", "lan"),
        ("node-1", "node"),
        ("node-2", "node"),
        ("web-0", "pod"),
        ("client", "client"),
        ("web-1", "pod"),
        ("outside", "client"),
    ]


def test_a_node_is_the_gateway_of_its_pods_and_routes_to_the_others():
    node = plan_addresses(cluster_of(pods=2), []).node("node-1")
    assert [(a.interface.name, a.address, a.prefix_length) for a in node.addresses] == [
        ("eth0", "172.18.0.2", 16),
        ("cni0", "10.244.1.1", 24),
    ]
    assert [(r.interface.name, r.destination, r.via) for r in node.routes] == [
        ("eth0", "10.244.2.0/24", "172.18.0.3"),
        ("eth0", "0.0.0.0/0", ""),
    ]
    assert node.sysctls[0] == ("net/ipv4/ip_forward", "1")


def test_a_pod_has_its_address_a_default_route_and_its_gateways_mac():
    plan = plan_addresses(cluster_of(pods=1), [])
    pod = plan.pod("default/web-0")
    eth0, cni0 = plan.link("web-0").interface, plan.link("web-0").bridge
    assert (eth0.name, eth0.mac, cni0.mac) == ("eth0", "0a:58:0a:f4:01:02", "0a:58:0a:f4:01:01")
    assert pod.addresses == (Address(eth0, "10.244.1.2", 24),)
    assert pod.routes == (Route(eth0, "0.0.0.0/0", "10.244.1.1"),)
    assert pod.neighbours == (Neighbour(eth0, "10.244.1.1", cni0.mac),)


def test_taps_find_both_ends_of_every_link():
    plan = plan_addresses(cluster_of(pods=1))
    ends = {
        link.inner: (link.outer, link.port.name, link.interface.name, link.hairpin) for link in plan.links
    }
    assert ends == {
        "node-1": ("lan", "veth-node-1", "eth0", False),
        "node-2": ("lan", "veth-node-2", "eth0", False),
        "outside": ("lan", "veth-outside", "eth0", False),
        "web-0": ("node-1", "veth-web-0", "eth0", True),
        "client": ("node-1", "veth-client", "eth0", True),
    }


def test_clients_have_64_addresses_behind_their_first():
    plan = plan_addresses(cluster_of(pods=1))
    assert plan.clients["client"].addresses == tuple(f"10.244.1.{n}" for n in range(128, 192))
    assert plan.clients["outside"].addresses == tuple(f"172.18.255.{n}" for n in range(128, 192))
    to_client = [r for r in plan.pod("default/web-0").routes if r.destination == "10.244.1.128/26"]
    assert [(r.via, r.onlink) for r in to_client] == [("10.244.1.128", True)]


def test_a_client_gives_way_to_pods_and_to_another_client():
    cluster = cluster_with([NODE], [pod("high", "10.244.1.140")])
    plan = plan_addresses(cluster, [ClientPlan("a", "node-1"), ClientPlan("b", "node-1")])
    assert plan.clients["a"].address == "10.244.1.64"
    assert len(plan.clients["a"].addresses) == 64
    # .0 holds the network and the gateway, .128 the pod, .192 the broadcast: 64 in a row are nowhere left
    assert (plan.clients["b"].address, len(plan.clients["b"].addresses)) == ("10.244.1.160", 32)


def test_a_client_takes_the_addresses_it_is_given():
    client = ClientPlan("far", None, ("203.0.113.5", "203.0.113.6"))
    plan = plan_addresses(cluster_of(pods=1), [client])
    assert plan.clients["far"] == client
    routes = {(r.destination, r.via, r.onlink) for r in plan.node("node-2").routes}
    assert {("203.0.113.5/32", "", False), ("203.0.113.6/32", "203.0.113.5", True)} <= routes


def test_outside_knows_the_pods_and_not_the_services():
    outside = plan_addresses(cluster_of(pods=1)).client("outside")
    assert {r.destination: r.via for r in outside.routes} == {
        "10.244.1.0/24": "172.18.0.2",
        "10.244.2.0/24": "172.18.0.3",
    }


def test_a_pod_outside_of_its_nodes_pod_cidr_gets_routes_of_its_own():
    nodes = [NODE, Node("node-2", "172.18.0.3", "10.244.2.0/24")]
    plan = plan_addresses(cluster_with(nodes, [pod("odd", "10.9.8.7")]), [])
    assert ("10.9.8.7/32", "cni0", "") in {
        (r.destination, r.interface.name, r.via) for r in plan.node("node-1").routes
    }
    assert ("10.9.8.7/32", "172.18.0.2") in {(r.destination, r.via) for r in plan.node("node-2").routes}
    odd = plan.pod("default/odd")
    assert [(a.address, a.prefix_length) for a in odd.addresses] == [("10.9.8.7", 32)]
    assert [(r.destination, r.via, r.onlink) for r in odd.routes] == [("0.0.0.0/0", "10.244.1.1", True)]


def test_a_pod_with_host_network_lives_in_its_node():
    plan = plan_addresses(cluster_with([NODE], [pod("proxy", "172.18.0.2", "kube-system")]), [])
    assert plan.pod("kube-system/proxy") is plan.node("node-1")


def test_a_pod_of_another_kubernetes_namespace_is_named_with_it():
    plan = plan_addresses(
        cluster_with([NODE], [pod("web", "10.244.1.2"), pod("web", "10.244.1.3", "shop")]), []
    )
    assert (plan.pod("default/web").name, plan.pod("shop/web").name) == ("web", "shop.web")


@pytest.mark.parametrize(
    ("pods", "clients", "words"),
    [
        ([pod("client", "10.244.1.2")], None, ["pod default/client", "the lab's client client", "`client`"]),
        ([pod("node-1", "10.244.1.2")], None, ["node node-1", "pod default/node-1"]),
        ([pod("lan", "10.244.1.2")], None, ["the network between the nodes", "pod default/lan"]),
        (
            [pod("a.b", "10.244.1.2"), pod("b", "10.244.1.3", "a")],
            None,
            ["pod default/a.b", "pod a/b", "`a.b`"],
        ),
        ([], [ClientPlan("../x")], ["the lab's client ../x", "letters"]),
        ([pod("a", "10.244.1.2"), pod("b", "10.244.1.2")], None, ["pod a", "pod b", "10.244.1.2"]),
        ([pod("a", "10.244.1.1")], None, ["cni0 of node node-1", "pod a"]),
        ([], [ClientPlan("x", "node-1", ("172.18.0.2",))], ["node node-1", "client x", "172.18.0.2"]),
        ([], [ClientPlan("x", "node-1", ("no",))], ["'no' is no IPv4 address"]),
        ([], [ClientPlan("x", "node-9")], ["no node for x, called 'node-9'"]),
        ([pod("a", "10.244.1.2", node="node-7")], None, ["no node for default/a, called 'node-7'"]),
    ],
)
def test_clashes_name_both_sides(pods, clients, words):
    with pytest.raises(RequestError) as caught:
        plan_addresses(cluster_with([NODE], pods), clients)
    assert all(word in caught.value.message for word in words)
    assert caught.value.where
    assert caught.value.todo


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            Node("big", "172.18.0.9", "10.244.0.0/16"),
            ["pods of big (10.244.0.0/16)", "pods of node-1 (10.244.1.0/24)"],
        ),
        (
            Node("lan-like", "172.18.0.9", "172.18.4.0/24"),
            ["the network between the nodes", "pods of lan-like"],
        ),
        (Node("service-like", "172.18.0.9", "10.96.4.0/24"), ["the Services", "pods of service-like"]),
        (Node("tiny", "172.18.0.9", "10.244.9.8/31"), ["10.244.9.8/31", "no room"]),
    ],
)
def test_networks_that_cannot_be_are_refused(node, words):
    with pytest.raises(RequestError) as caught:
        plan_addresses(cluster_with([NODE, node], []), [])
    assert all(word in str(caught.value) for word in words)


def test_a_full_node_says_that_no_client_fits():
    node = Node("node-1", "172.18.0.2", "10.244.1.0/30")
    with pytest.raises(RequestError, match=r"no address is left in 10\.244\.1\.0/30 for the client client"):
        plan_addresses(cluster_with([node], [pod("a", "10.244.1.2")]))


def test_ports_keep_what_tells_replicas_apart():
    names = [
        "web-0",
        "web-7d4b9c6f5-x2x8q",
        "a-very-long-name",
        "shop.cart",
        "loadgenerator",
        "loadgenerators",
    ]
    assert port_names(names) == [
        "veth-web-0",
        "veth-web-x2x8q",
        "veth-a-ver-name",
        "veth-shop.cart",
        "veth-loadg-9c2f",
        "veth-loadg-390c",
    ]


def test_unknown_names_are_answered_with_the_known():
    plan = plan_addresses(cluster_of(pods=2))
    for ask, name, known in (
        (plan.node, "node-7", "node-1, node-2"),
        (plan.pod, "web-0", "default/web-0, default/web-1"),
        (plan.client, "inside", "client, outside"),
        (plan.node, "web-0", "node-1, node-2"),
    ):
        with pytest.raises(RequestError) as caught:
            ask(name)
        assert name in caught.value.message
        assert caught.value.todo == f"known: {known}"
