"""The scene of the flow table: two nodes, their Services, and who asks; made without manifests.

`node-1` is the node whose rules are on trial, `node-2` the other one. The pods `here` and `there` are the
endpoints. `pod` and `far-pod` ask as pods of node-1 and node-2, `outside` from the nodes' own network: like a
load balancer it has routes by node-1 to all Service addresses. `beyond` stands behind the nodes' routes to
those addresses and answers for all of them: what no rule takes is answered by it. So is, by `daemon`, what a
node takes for itself: a process of node-1 that happens to listen on every port that a Service uses.
"""

from __future__ import annotations

from labkit.spec.clients import ClientPlan
from labkit.spec.model import (
    ClusterSpec,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    LoadBalancerIngress,
    Node,
    Pod,
    Protocol,
    Service,
    ServicePort,
)

NODES = (Node("node-1", "172.18.0.2", "10.244.1.0/24"), Node("node-2", "172.18.0.3", "10.244.2.0/24"))
PODS = (Pod("default", "here", "node-1", "10.244.1.2"), Pod("default", "there", "node-2", "10.244.2.2"))
BEYOND = "172.18.200.1"
CLIENTS = (
    ClientPlan("pod", "node-1"),
    ClientPlan("far-pod", "node-2"),
    ClientPlan("outside"),
    ClientPlan("beyond", None, (BEYOND,)),
)
SERVICE_NETWORKS = ("10.96.0.0/16", "198.51.100.0/24", "203.0.113.0/24")
POD_PORT, SERVICE_PORT, UNKNOWN_PORT, DAEMON_PORT, HEALTH_PORT = 8080, 80, 81, 7777, 32000
OTHER_ADDRESS = "10.244.1.1"  # of node-1, on cni0
TCP_UDP: tuple[Protocol, ...] = ("TCP", "UDP")

HERE = Endpoint("10.244.1.2", node="node-1", pod="default/here")
THERE = Endpoint("10.244.2.2", node="node-2", pod="default/there")


def _unready(endpoint: Endpoint) -> Endpoint:
    return Endpoint(endpoint.address, ready=False, serving=False, node=endpoint.node, pod=endpoint.pod)


def _dying(endpoint: Endpoint, *, serving: bool) -> Endpoint:
    return Endpoint(endpoint.address, False, serving, True, endpoint.node, endpoint.pod)


def _pair(
    number: int,
    name: str,
    endpoints: tuple[Endpoint, ...],
    protocols: tuple[Protocol, ...] = ("TCP",),
    *,
    port: int = SERVICE_PORT,
    **fields: object,
) -> tuple[Service, EndpointSlice]:
    """Return a Service and its slice: node port 30000 + number, addresses that end in 10 + number."""
    usual: dict[str, object] = {
        "type": "LoadBalancer",
        "cluster_ip": f"10.96.0.{10 + number}",
        "external_ips": (f"198.51.100.{10 + number}",),
        "load_balancer": (LoadBalancerIngress(f"203.0.113.{10 + number}"),),
    }
    if fields.get("type") == "ClusterIP":
        usual |= {"external_ips": (), "load_balancer": ()}
    node_port = 0 if fields.get("type") == "ClusterIP" else 30000 + number
    ports = tuple(ServicePort(one.lower(), one, port, POD_PORT, node_port) for one in protocols)
    service = Service("default", name, ports=ports, **{**usual, **fields})
    named = tuple(EndpointPort(one.lower(), one, POD_PORT) for one in protocols)
    return service, EndpointSlice("default", f"{name}-1", name, named, endpoints)


_LOCAL = {"external_policy": "Local"}
_INSIDE = {"type": "ClusterIP"}
_PAIRS = (
    # The four of the matrix
    _pair(1, "cluster", (HERE, THERE), ("TCP", "UDP", "SCTP")),
    _pair(2, "local", (HERE, THERE), ("TCP", "UDP", "SCTP"), **_LOCAL),
    _pair(3, "absent", (THERE,), TCP_UDP, **_LOCAL),
    _pair(4, "empty", (_unready(HERE),), TCP_UDP),
    # internalTrafficPolicy
    _pair(5, "inside", (HERE, THERE), **_INSIDE, internal_policy="Local"),
    _pair(6, "inside-absent", (THERE,), TCP_UDP, **_INSIDE, internal_policy="Local"),
    # loadBalancerSourceRanges: `pod`; the node itself and `outside`; on an address that node-1 itself has
    _pair(7, "guarded", (HERE,), TCP_UDP, source_ranges=("10.244.1.128/26",), external_ips=()),
    _pair(8, "guarded-node", (HERE,), source_ranges=("172.18.0.2/32", "172.18.255.128/26"), external_ips=()),
    _pair(
        *(9, "own", (HERE,)),
        port=82,
        source_ranges=("10.244.1.128/26",),
        external_ips=(),
        load_balancer=(LoadBalancerIngress(OTHER_ADDRESS),),
    ),
    _pair(
        *(10, "own-empty", (), TCP_UDP),
        port=83,
        external_ips=(),
        load_balancer=(LoadBalancerIngress(OTHER_ADDRESS),),
    ),
    _pair(
        *(11, "guarded-empty", ()),
        source_ranges=("10.244.1.128/26",),
        external_ips=(),
    ),
    _pair(
        *(19, "own-node", (HERE,)),
        port=84,
        source_ranges=("172.18.0.2/32",),
        external_ips=(),
        load_balancer=(LoadBalancerIngress(OTHER_ADDRESS),),
    ),
    # ipMode Proxy
    _pair(
        12, "proxied", (HERE,), external_ips=(), load_balancer=(LoadBalancerIngress("203.0.113.22", "Proxy"),)
    ),
    # Conditions of endpoints
    _pair(13, "leaving", (HERE, _dying(THERE, serving=True)), **_INSIDE),
    _pair(14, "all-leaving", (_dying(HERE, serving=True), _dying(THERE, serving=False)), **_INSIDE),
    _pair(
        *(15, "local-leaving", (_dying(HERE, serving=True), THERE)),
        **_LOCAL,
        load_balancer=(),
        health_check_node_port=HEALTH_PORT,
    ),
    _pair(16, "not-ready", (_unready(HERE), THERE), **_INSIDE),
    # publishNotReadyAddresses: the slice says ready, the pod does not serve
    _pair(17, "published", (Endpoint("10.244.1.2", serving=False, node="node-1"),), **_INSIDE),
    # sessionAffinity
    _pair(18, "sticky", (HERE, THERE), affinity_timeout_s=60, external_ips=(), load_balancer=()),
)
SERVICES = {service.name: service for service, _ in _PAIRS}
CLUSTER = ClusterSpec(
    NODES, PODS, tuple(SERVICES.values()), tuple(one for _, one in _PAIRS), "10.244.0.0/16", "10.96.0.0/16"
)
