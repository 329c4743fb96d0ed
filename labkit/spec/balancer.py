"""ClusterSpec -> BalancerPlan: the load balancer outside of the cluster, and what each of its ports does.

It owns every address in `status.loadBalancer.ingress` of Services and Ingresses, whatever the ipMode, but
for those that are a node's own. It is a proxy: a connection to a Service's port goes on to that Service's
node port on one node after the other, one to port 80 of an Ingress goes on by its host and path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.errors import RequestError
from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.spec.model import ClusterSpec, Ingress, IngressRoute, Service

HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class ForwardedService:
    """A port of the balancer for a Service port; `health_port` 0: nodes are not asked for their health."""

    address: str
    port: int
    protocol: Literal["TCP", "UDP"]
    service: str  # "namespace/name:port"
    node_port: int
    health_port: int = 0


@dataclass(frozen=True, slots=True)
class ServedIngress:
    """Port 80 of an address, where Ingresses are served: their routes in the order to try them."""

    address: str
    ingresses: tuple[str, ...]
    routes: tuple[IngressRoute, ...]


@dataclass(frozen=True, slots=True)
class BalancerPlan:
    """The balancer: its addresses, the nodes it forwards to, and its ports."""

    addresses: tuple[str, ...]
    nodes: tuple[tuple[str, str], ...]  # (name, address)
    services: tuple[ForwardedService, ...]
    ingresses: tuple[ServedIngress, ...]


def plan_balancer(cluster: ClusterSpec) -> BalancerPlan | None:
    """Return the balancer of a cluster, None where no Service and no Ingress has an address of its own.

    Raises RequestError where two of them want one port of one address.
    """
    nodes = tuple((node.name, node.address) for node in cluster.nodes)
    own = {address for _, address in nodes}
    services = tuple(
        port for service in cluster.services for port in _ports(service) if port.address not in own
    )
    sites = [
        (entry.ip, ingress)
        for ingress in cluster.ingresses
        for entry in ingress.load_balancer
        if entry.ip not in own
    ]
    wanted = [entry.ip for service in cluster.services for entry in service.load_balancer]
    wanted += [address for address, _ in sites]
    addresses = tuple(dict.fromkeys(one for one in wanted if is_ipv4(one) and one not in own))
    if not addresses:
        return None
    served = _merged(sites)
    _check_ports(services, served)
    return BalancerPlan(addresses, nodes, services, served)


def _ports(service: Service) -> Iterator[ForwardedService]:
    local = service.external_policy == "Local"
    for entry in service.load_balancer:
        for port in service.ports:
            if is_ipv4(entry.ip) and port.node_port and port.protocol != "SCTP":
                yield ForwardedService(
                    entry.ip,
                    port.port,
                    port.protocol,
                    f"{service.key}:{port.port}",
                    port.node_port,
                    service.health_check_node_port if local else 0,
                )


def _merged(sites: list[tuple[str, Ingress]]) -> tuple[ServedIngress, ...]:
    """Return one site for each address: several Ingresses may share it."""
    merged = []
    for address in dict.fromkeys(address for address, _ in sites):
        here = [ingress for other, ingress in sites if other == address]
        routes = tuple(sorted((route for ingress in here for route in ingress.routes), key=_precedence))
        merged.append(ServedIngress(address, tuple(one.key for one in here), routes))
    return tuple(merged)


def _precedence(route: IngressRoute) -> tuple[int, int, bool]:
    """Sort hosts before wildcards before every host, then long paths first, then exact ones."""
    kind = 2 if not route.host else 1 if route.host.startswith("*.") else 0
    return kind, -len(route.path), not route.is_exact


def _check_ports(services: tuple[ForwardedService, ...], ingresses: tuple[ServedIngress, ...]) -> None:
    owners: dict[tuple[str, int, str], str] = {}
    wanted = [((one.address, one.port, one.protocol), f"Service {one.service}") for one in services]
    wanted += [((one.address, HTTP_PORT, "TCP"), f"Ingress {one.ingresses[0]}") for one in ingresses]
    for place, owner in wanted:
        if place in owners:
            address, port, protocol = place
            raise RequestError(
                f"{owners[place]} and {owner} both want port {port}/{protocol} of {address}",
                where="the load balancer's addresses (status.loadBalancer.ingress)",
                todo="give one of them another address or another port",
            )
        owners[place] = owner
