"""What one built network does."""

from __future__ import annotations

import errno
import json
import socket
from pathlib import Path

import pytest
from clusters import answered_from, cluster_of

from labkit.errors import CapabilityError, RequestError
from labkit.fabric import links
from labkit.fabric.build import build_network
from labkit.fabric.netlink import RefusedError, RouteSocket
from labkit.fabric.shaping import Shaping, apply_shaping, remove_shaping
from labkit.spec.addressing import plan_addresses


@pytest.fixture(scope="module")
def network():
    with build_network(plan_addresses(cluster_of(pods=4))) as network:
        yield network


def test_pods_reach_each_other_on_one_node_and_across_nodes(network):
    first = network.pod("default/web-0")
    assert answered_from(network, network.pod("default/web-2"), first) == "10.244.1.2"
    assert answered_from(network, network.pod("default/web-1"), first) == "10.244.1.2"


def test_a_pod_reaches_a_client_outside_with_its_own_address(network):
    assert answered_from(network, network.client("outside"), network.pod("default/web-1")) == "10.244.2.2"


def test_the_client_outside_reaches_nodes_and_pods_but_no_cluster_address(network):
    outside = network.client("outside")
    assert answered_from(network, network.node("node-2"), outside) == "172.18.255.128"
    assert answered_from(network, network.pod("default/web-0"), outside) == "172.18.255.128"
    with pytest.raises(OSError, match="unreachable"):
        outside.run(lambda: socket.create_connection(("10.96.0.1", 443), timeout=5))


@pytest.mark.parametrize("client", ["client", "outside"])
@pytest.mark.parametrize("pod", ["default/web-0", "default/web-1"])
def test_a_client_sends_from_each_of_its_addresses(network, client, pod):
    addresses = network.plan.clients[client].addresses
    for source in (addresses[0], addresses[31], addresses[63]):
        assert answered_from(network, network.pod(pod), network.client(client), source) == source


def test_every_pods_port_is_in_hairpin_mode_and_forwards(network):
    ports = json.loads(network.node("node-1").command(["bridge", "-d", "-j", "link"]).stdout)
    assert {port["ifname"] for port in ports} == {"veth-web-0", "veth-web-2", "veth-client"}
    assert all(port["hairpin"] and port["state"] == "forwarding" for port in ports)


def test_a_node_forwards_and_shows_bridged_packets_to_iptables(network):
    node, lan = network.node("node-1"), network.namespaces["lan"]
    assert node.read_sysctl("net.ipv4.ip_forward") == "1"
    assert node.read_sysctl("net.bridge.bridge-nf-call-iptables") == "1"
    assert (
        node.read_sysctl("net.ipv4.conf.eth0.rp_filter")
        == node.read_sysctl("net.ipv4.conf.all.rp_filter")
        == "0"
    )
    assert lan.read_sysctl("net.bridge.bridge-nf-call-iptables") == "0"


def test_nothing_has_an_ipv6_address(network):
    for namespace in network.namespaces.values():
        assert namespace.run(Path("/proc/thread-self/net/if_inet6").read_text) == ""


@pytest.fixture
def service(network):
    """A Service by hand, 10.96.0.10:80 -> web-0:8080, with kube-proxy's masquerade for hairpins only."""
    node = network.node("node-1")
    rules = [
        "PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.2:8080",
        "POSTROUTING -s 10.244.1.2 -d 10.244.1.2 -j MASQUERADE",
    ]
    for rule in rules:
        assert node.command(["iptables-legacy", "-t", "nat", "-A", *rule.split()]).status == 0
    yield "10.96.0.10", 80
    for rule in rules:
        assert node.command(["iptables-legacy", "-t", "nat", "-D", *rule.split()]).status == 0


@pytest.mark.parametrize(
    ("client", "seen"), [("web-0", "10.244.1.1"), ("web-2", "10.244.1.3"), ("client", "10.244.1.128")]
)
def test_a_service_is_reached_on_its_own_node_by_others_and_by_its_own_pod(network, service, client, seen):
    # The answer to a pod on the same bridge is not routed: only br_netfilter lets the node translate it back.
    def connect() -> socket.socket:
        return socket.create_connection(service, timeout=5)

    server = network.pod("default/web-0")
    listener = server.run(lambda: socket.create_server(("10.244.1.2", 8080)))
    with listener, network.namespaces[client].run(connect):
        connection, (source, _) = listener.accept()
        connection.close()
    assert source == seen


def test_names_that_are_not_there_are_answered_with_those_that_are(network):
    with pytest.raises(RequestError, match="no pod 'default/web-9'") as caught:
        network.pod("default/web-9")
    assert "default/web-0" in caught.value.todo


def queueing(network, interface: str) -> dict:
    text = network.node("node-1").command(["tc", "-j", "qdisc", "show", "dev", interface]).stdout
    return json.loads(text)[0]


def test_shaping_is_applied_replaced_and_removed(network):
    node, port = network.node("node-1"), network.plan.link("web-0").port
    unshaped = queueing(network, port.name)["kind"]
    apply_shaping(node, port, Shaping(delay_ms=20, jitter_ms=5, loss_percent=10, rate_mbit=8))
    shaped = queueing(network, port.name)["options"]
    assert shaped["delay"] == {"delay": 0.02, "jitter": 0.005, "correlation": 0}
    assert shaped["rate"]["rate"] == 1_000_000
    assert shaped["loss-random"]["loss"] == pytest.approx(0.1)
    apply_shaping(node, port, Shaping(delay_ms=2))
    replaced = queueing(network, port.name)["options"]
    assert replaced["delay"] == {"delay": 0.002, "jitter": 0, "correlation": 0}
    assert "rate" not in replaced
    assert "loss-random" not in replaced
    apply_shaping(node, port, Shaping())
    remove_shaping(node, port)
    assert queueing(network, port.name)["kind"] == unshaped


def test_a_delay_is_seen_by_who_is_behind_it(network):
    server, port = network.pod("default/web-2"), network.plan.link("web-2").port
    apply_shaping(network.node("node-1"), port, Shaping(delay_ms=30))
    try:
        ping = network.client("client").command(["ping", "-n", "-c1", "10.244.1.3"]).stdout
    finally:
        remove_shaping(network.node("node-1"), port)
    assert server.name == "web-2"
    assert float(ping.split("time=")[1].split()[0]) >= 30


def test_shaping_where_netem_is_missing_says_what_to_do(network, monkeypatch):
    monkeypatch.setattr("labkit.fabric.shaping.KIND", b"no-such-discipline\0")
    with pytest.raises(CapabilityError, match="no netem") as caught:
        apply_shaping(network.node("node-1"), network.plan.link("web-0").port, Shaping(delay_ms=1))
    assert "modprobe sch_netem" in caught.value.todo


def test_a_refused_message_is_named_with_the_kernels_words(network):
    address = network.plan.pod("default/web-0").addresses[0]
    pod = network.pod("default/web-0")
    with pod.run(lambda: RouteSocket(pod.name)) as route_socket:
        with pytest.raises(RefusedError, match=r"add 10\.244\.1\.2/24 to eth0: File exists") as caught:
            route_socket.send([links.set_up("lo", 1), links.add_address(address), links.set_up("lo", 1)])
        route_socket.send([links.set_up("lo", 1)])  # what follows is not confused by the answers
    assert caught.value.where == "network namespace web-0"
    assert caught.value.errno == errno.EEXIST
