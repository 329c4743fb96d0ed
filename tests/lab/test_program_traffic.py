"""What programmed rules do to connections: who answers, as whom the client is seen, and what is counted."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import Counter
from dataclasses import replace
from types import MappingProxyType

import pytest
from proxy_clusters import service, slice_of

from labkit.fabric.build import build_network
from labkit.guest.probe import takes_nftables
from labkit.proxy.extension import lab_extension
from labkit.proxy.plans import MODES, lab_config
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.model import ClusterSpec, Endpoint, LoadBalancerIngress, Node, Pod, ServicePort

NODES = (Node("node-1", "172.18.0.2", "10.244.1.0/24"), Node("node-2", "172.18.0.3", "10.244.2.0/24"))
PODS = tuple(
    Pod("default", f"web-{i}", f"node-{i % 2 + 1}", f"10.244.{i % 2 + 1}.{i // 2 + 2}") for i in range(4)
)
WEB = service(type="NodePort", ports=(ServicePort("http", "TCP", 80, 8080, 30080),))
EMPTY = service("empty", cluster_ip="10.96.0.11")
SLICE = slice_of(*(Endpoint(pod.address, node=pod.node, pod=pod.key) for pod in PODS))
CLUSTER = ClusterSpec(NODES, PODS, (WEB, EMPTY), (SLICE,), "10.244.0.0/16", "10.96.0.0/12")
ENDPOINTS = {f"{pod.address}:8080": pod.key for pod in PODS}


class Lab:
    """A network with a listening socket in every pod, and a proxier on every node."""

    def __init__(self, network):
        self.network = network
        self.listeners = {
            network.pod(pod.key).run(lambda: socket.create_server(("", 8080))): pod.key for pod in PODS
        }
        self.proxiers = {
            node.name: Proxier(network.node(node.name), node.name, "iptables", lab_config(CLUSTER))
            for node in NODES
        }

    def program(self, mode, cluster=CLUSTER, extension=None, **fields):
        if mode == "nftables" and not takes_nftables():
            pytest.skip("this Linux has no nf_tables for IPv4")
        for proxier in self.proxiers.values():
            proxier.cleanup()
            proxier.mode = mode
            proxier.config = replace(lab_config(cluster), **fields)
            proxier.sync(cluster, extension or lab_extension(cluster))

    def connect(self, namespace, address, port):
        """Open one connection; return the pod that got it, and the address it saw."""
        with namespace.run(lambda: socket.create_connection((address, port), timeout=5)):
            ready, _, _ = select.select(list(self.listeners), [], [], 5)
            (listener,) = ready
            connection, (seen, _) = listener.accept()
            connection.close()
            return self.listeners[listener], seen

    def close(self):
        for listener in self.listeners:
            listener.close()


@pytest.fixture(scope="module")
def lab():
    with build_network(plan_addresses(CLUSTER)) as network:
        made = Lab(network)
        yield made
        made.close()


def counted(proxier, total):
    """Return the counts once they add up to `total`; the guest adds IPVS's up every two seconds."""
    deadline = time.monotonic() + 10
    while True:
        counts = proxier.counts()["default/web:http"]
        if sum(counts.values()) == total or time.monotonic() > deadline:
            return counts
        time.sleep(0.1)


def is_silent(namespace, address, port):
    """Whether a SYN is neither answered nor refused: for half a second, since nothing tells of a drop."""
    with namespace.run(socket.socket) as caller:
        caller.settimeout(0.5)
        return caller.connect_ex((address, port)) == errno.EAGAIN


every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])  # nobody counts in nftables mode
def test_connections_to_the_cluster_ip_are_answered_by_pods_and_counted_where_they_went(lab, mode):
    lab.program(mode)
    client = lab.network.client("client")
    answers = Counter(lab.connect(client, "10.96.0.10", 80)[0] for _ in range(24))
    counts = counted(lab.proxiers["node-1"], answers.total())
    assert {ENDPOINTS[name]: count for name, count in counts.items() if count} == answers
    if mode == "ipvs":
        assert set(answers.values()) == {6}


@every_mode
def test_a_pod_of_the_cluster_is_seen_as_itself_and_an_outsider_as_the_node(lab, mode):
    lab.program(mode)
    client, outside = lab.network.client("client"), lab.network.client("outside")
    own = lab.network.plan.namespace(client.name).addresses[0].address
    for _ in range(4):
        assert lab.connect(client, "10.96.0.10", 80)[1] == own
    for _ in range(4):
        pod, seen = lab.connect(outside, "172.18.0.2", 30080)
        assert seen in {"172.18.0.2", "10.244.1.1"}
        assert seen == "172.18.0.2" or pod in {"default/web-0", "default/web-2"}


@every_mode
def test_a_pod_that_reaches_itself_sees_its_node(lab, mode):
    alone = replace(CLUSTER, slices=(slice_of(SLICE.endpoints[0]),))
    lab.program(mode, alone)
    pod, seen = lab.connect(lab.network.pod("default/web-0"), "10.96.0.10", 80)
    assert (pod, seen) == ("default/web-0", "10.244.1.1")


@every_mode
def test_the_node_itself_reaches_pods_on_both_nodes(lab, mode):
    lab.program(mode)
    answers = {lab.connect(lab.network.node("node-1"), "10.96.0.10", 80)[0] for _ in range(40)}
    assert answers == {pod.key for pod in PODS}


@every_mode
def test_without_endpoints_a_connection_is_refused(lab, mode):
    lab.program(mode)
    with pytest.raises(ConnectionRefusedError):
        lab.connect(lab.network.client("client"), "10.96.0.11", 80)


def test_every_pod_answers_in_nftables_mode_and_no_other_port_of_the_cluster_ip(lab):
    lab.program("nftables")
    client = lab.network.client("client")
    answers = {lab.connect(client, "10.96.0.10", 80)[0] for _ in range(40)}
    assert answers == {pod.key for pod in PODS}
    for caller in (client, lab.network.node("node-1")):
        with pytest.raises(ConnectionRefusedError):
            lab.connect(caller, "10.96.0.10", 81)


@every_mode
def test_a_node_port_is_on_all_addresses_of_a_node_or_in_nftables_mode_on_its_main_one(lab, mode):
    lab.program(mode)
    client = lab.network.client("client")
    assert lab.connect(client, "172.18.0.2", 30080)[0] in ENDPOINTS.values()
    if mode == "nftables":
        with pytest.raises(ConnectionRefusedError):
            lab.connect(client, "10.244.1.1", 30080)
        lab.program(mode, node_port_addresses=("0.0.0.0/0",))
    assert lab.connect(client, "10.244.1.1", 30080)[0] in ENDPOINTS.values()


@every_mode
def test_a_node_port_is_on_loopback_in_iptables_mode_only(lab, mode):
    lab.program(mode)
    node = lab.network.node("node-1")
    if mode == "iptables":
        assert lab.connect(node, "127.0.0.1", 30080)[0] in ENDPOINTS.values()
        return
    with pytest.raises(ConnectionRefusedError):
        lab.connect(node, "127.0.0.1", 30080)


@every_mode
def test_with_policy_local_outsiders_are_seen_as_themselves_by_pods_of_the_node_they_ask(lab, mode):
    local = replace(CLUSTER, services=(replace(WEB, external_policy="Local"), EMPTY))
    lab.program(mode, local)
    outside = lab.network.client("outside")
    own = lab.network.plan.namespace(outside.name).addresses[0].address
    seen = {lab.connect(outside, "172.18.0.2", 30080) for _ in range(16)}
    assert seen == {("default/web-0", own), ("default/web-2", own)}


@pytest.mark.parametrize("mode", ["iptables", "nftables"])  # IPVS keeps to the node's own pods
def test_with_policy_local_pods_and_the_node_itself_still_reach_every_pod(lab, mode):
    lab.program(mode, replace(CLUSTER, services=(replace(WEB, external_policy="Local"), EMPTY)))
    pod, node = lab.network.pod("default/web-0"), lab.network.node("node-1")
    for caller in (pod, node):
        answers = {lab.connect(caller, "172.18.0.2", 30080)[0] for _ in range(40)}
        assert answers == {pod.key for pod in PODS}


@every_mode
def test_a_node_port_without_endpoints_is_refused(lab, mode):
    lab.program(mode, replace(CLUSTER, slices=()))
    for caller in ("client", "outside"):
        with pytest.raises(ConnectionRefusedError):
            lab.connect(lab.network.client(caller), "172.18.0.2", 30080)


@pytest.mark.parametrize("mode", ["iptables", "nftables"])  # IPVS falls back to the pods of other nodes
def test_with_policy_local_a_node_without_a_pod_drops(lab, mode):
    there = tuple(one for one in SLICE.endpoints if one.node == "node-2")
    policy = replace(WEB, external_policy="Local")
    lab.program(mode, replace(CLUSTER, services=(policy,), slices=(slice_of(*there),)))
    outside = lab.network.client("outside")
    assert lab.connect(outside, "172.18.0.3", 30080)[0] in {"default/web-1", "default/web-3"}
    assert is_silent(outside, "172.18.0.2", 30080)


@every_mode
def test_only_sources_within_the_ranges_reach_a_load_balancers_address(lab, mode):
    outside, client = lab.network.client("outside"), lab.network.client("client")
    own = lab.network.plan.namespace(client.name).addresses[0].address
    guarded = replace(
        WEB,
        type="LoadBalancer",
        load_balancer=(LoadBalancerIngress("203.0.113.7"),),
        source_ranges=(f"{own}/32",),
    )
    lab.program(mode, replace(CLUSTER, services=(guarded,)))
    assert lab.connect(client, "203.0.113.7", 80)[0] in ENDPOINTS.values()
    assert lab.connect(outside, "172.18.0.2", 30080)[0] in ENDPOINTS.values()  # node ports have no ranges
    for barred in (lab.network.pod("default/web-1"), lab.network.node("node-1")):
        assert is_silent(barred, "203.0.113.7", 80)


def test_weights_decide_the_share_of_wrr(lab):
    extension = lab_extension(
        CLUSTER, {"default/web": "wrr"}, MappingProxyType({"default/web-1": 3, "default/web-2": 0})
    )
    lab.program("ipvs", extension=extension)
    client = lab.network.client("client")
    answers = Counter(lab.connect(client, "10.96.0.10", 80)[0] for _ in range(20))
    assert answers == {"default/web-0": 4, "default/web-1": 12, "default/web-3": 4}


@every_mode
def test_affinity_keeps_a_client_with_its_pod(lab, mode):
    sticky = replace(CLUSTER, services=(replace(WEB, affinity_timeout_s=60),))
    lab.program(mode, sticky)
    client = lab.network.client("client")
    assert len({lab.connect(client, "10.96.0.10", 80)[0] for _ in range(12)}) == 1


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_a_sync_does_not_end_an_open_connection(lab, mode):
    lab.program(mode)
    client = lab.network.client("client")
    with client.run(lambda: socket.create_connection(("10.96.0.10", 80), timeout=5)) as near:
        (listener,), _, _ = select.select(list(lab.listeners), [], [], 5)
        far, _ = listener.accept()
        with far:
            for proxier in lab.proxiers.values():
                proxier.sync(replace(CLUSTER, slices=()))
            near.sendall(b"still here")
            far.settimeout(5)
            assert far.recv(16) == b"still here"
