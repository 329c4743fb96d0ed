"""The clusters that benchmarks are about: so many pods, so many Services; and the plans of their networks."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.spec.addressing import plan_addresses
from labkit.spec.model import (
    ClusterSpec,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServicePort,
)

if TYPE_CHECKING:
    from labkit.spec.addressplan import AddressPlan

NODES = (Node("node-1", "172.18.0.11", "10.244.1.0/24"), Node("node-2", "172.18.0.12", "10.244.2.0/24"))
ENDPOINTS_EACH = 2
_FIRST_CLUSTER_IP, _FIRST_ENDPOINT = int(IPv4Address("10.96.0.10")), int(IPv4Address("10.248.0.0"))


def pods_network(pods: int) -> AddressPlan:
    """Return the plan of a lab's network: two nodes, so many pods on them in turn, the two clients."""
    return plan_addresses(_cluster(pods=tuple(_pod(number) for number in range(pods))))


def services_cluster(services: int) -> ClusterSpec:
    """Return a cluster of so many Services, each with a cluster IP, one TCP port and two endpoints.

    The endpoints are addresses without pods: what a node is programmed with does not depend on those.
    """
    numbers = range(services)
    return _cluster(
        services=tuple(_service(number) for number in numbers),
        slices=tuple(endpoint_slice(number) for number in numbers),
    )


def endpoint_slice(number: int, *, endpoints: int = ENDPOINTS_EACH) -> EndpointSlice:
    """Return the EndpointSlice of Service `number` with the first so many of its endpoints."""
    first = _FIRST_ENDPOINT + number * ENDPOINTS_EACH
    return EndpointSlice(
        namespace="bench",
        name=f"service-{number}-0",
        service=f"service-{number}",
        ports=(EndpointPort("", "TCP", 8080),),
        endpoints=tuple(Endpoint(str(IPv4Address(first + one))) for one in range(endpoints)),
    )


def _service(number: int) -> Service:
    address = str(IPv4Address(_FIRST_CLUSTER_IP + number))
    return Service("bench", f"service-{number}", "ClusterIP", address, (ServicePort("", "TCP", 80, 8080),))


def _pod(number: int) -> Pod:
    node = NODES[number % len(NODES)]
    address = str(IPv4Address(node.pod_cidr.partition("/")[0]) + 2 + number // len(NODES))
    return Pod("bench", f"pod-{number}", node.name, address)


def _cluster(
    pods: tuple[Pod, ...] = (),
    services: tuple[Service, ...] = (),
    slices: tuple[EndpointSlice, ...] = (),
) -> ClusterSpec:
    return ClusterSpec(NODES, pods, services, slices, "10.244.0.0/16", "10.96.0.0/12")
