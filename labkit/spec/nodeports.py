"""Node ports: those that Services bring with them, and those that an API server would assign to the others.

The rules are the API server's (pkg/registry/core/service/storage/alloc.go, v1.30).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Service

NODE_PORTS = range(30_000, 32_768)
RANGE_TEXT = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"


def assign_node_ports(
    items: Sequence[Item[Service]], findings: Findings
) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return by each Service's key the node port of each port (0: none) and its health check node port.

    A Service that carries `clusterIPs` has been through an API server: nothing is added to it.
    """
    given = _given_node_ports(items, findings)
    free = (port for port in NODE_PORTS if port not in given)
    return {item.key: (_ports(item, free, findings), _health_port(item, free, findings)) for item in items}


def _given_node_ports(items: Sequence[Item[Service]], findings: Findings) -> frozenset[int]:
    """Return every node port that a manifest names; one number serves one Service port of a protocol."""
    owner: dict[tuple[int, str], str] = {}
    for item in items:
        for number, protocol, path in _named(item.object):
            if (number, protocol) in owner:
                taken = f"node port {number}/{protocol} belongs to Service {owner[number, protocol]}"
                findings.mistake(item.place(*path), taken, "leave it out, or choose a free one")
            elif number not in NODE_PORTS:
                unusual = f"node port {number} is outside {RANGE_TEXT}: most clusters would refuse it"
                findings.warn(item.place(*path), unusual)
            owner.setdefault((number, protocol), item.key)
    return frozenset(number for number, _ in owner)


def _named(service: Service) -> Iterator[tuple[int, str, tuple[str | int, ...]]]:
    """Yield every node port that a Service names: number, protocol, path."""
    for index, port in enumerate(service.spec.ports):
        if port.node_port:
            yield port.node_port, port.protocol, ("spec", "ports", index, "nodePort")
    if service.spec.health_check_node_port:
        yield service.spec.health_check_node_port, "TCP", ("spec", "healthCheckNodePort")


def _ports(item: Item[Service], free: Iterator[int], findings: Findings) -> tuple[int, ...]:
    spec = item.object.spec
    wanted = spec.type == "NodePort" or (
        spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports
    )
    if not wanted or spec.cluster_ips:
        return tuple(port.node_port for port in spec.ports)
    # Ports of one number share a node port: 53/UDP and 53/TCP of a DNS server.
    shared = {port.port: port.node_port for port in reversed(spec.ports) if port.node_port}
    for port in spec.ports:
        if port.port not in shared:
            shared[port.port] = _next(item, free, findings)
    return tuple(port.node_port or shared[port.port] for port in spec.ports)


def _health_port(item: Item[Service], free: Iterator[int], findings: Findings) -> int:
    spec = item.object.spec
    checked = spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"
    if spec.health_check_node_port or not checked or spec.cluster_ips:
        return spec.health_check_node_port
    return _next(item, free, findings)


def _next(item: Item[Service], free: Iterator[int], findings: Findings) -> int:
    port = next(free, 0)
    if not port:
        findings.mistake(
            item.place("spec", "ports"), f"no node port is left in {RANGE_TEXT}", "use fewer of them"
        )
    return port
