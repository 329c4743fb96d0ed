"""A cluster in a few lines of text: what a learner sees first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec.naming import namespace_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.spec.balancer import BalancerPlan
    from labkit.spec.clients import ClientPlan
    from labkit.spec.model import ClusterSpec, Service


def summarise_cluster(
    cluster: ClusterSpec, clients: Iterable[ClientPlan], balancer: BalancerPlan | None = None
) -> list[str]:
    """Return a line for each node (with its pods), Service, client, address of the balancer and warning.

    Names are as in `ip netns`.
    """
    return [
        *_nodes(cluster),
        *map(_service, cluster.services),
        *map(_client, clients),
        *(_balancer(balancer) if balancer else ()),
        *_notes(cluster),
    ]


def _nodes(cluster: ClusterSpec) -> Iterator[str]:
    for node in cluster.nodes:
        pods = [f"{namespace_name(pod)} {pod.address}" for pod in cluster.pods if pod.node == node.name]
        yield f"node     {node.name} {node.address}: {', '.join(pods) or 'no pods'}"


def _service(service: Service) -> str:
    ports = ", ".join(f"{port.port}/{port.protocol}" for port in service.ports)
    node_ports = ", ".join(str(port.node_port) for port in service.ports if port.node_port)
    if service.type == "ExternalName":
        where = f"is another name for {service.external_name}"
    elif service.cluster_ip == "None":
        where = f"headless, {ports}"
    else:
        where = f"{service.cluster_ip} {ports}" + (f", node port {node_ports}" if node_ports else "")
    return f"Service  {namespace_name(service)} {where}"


def _client(client: ClientPlan) -> str:
    place = f"as a pod on {client.node}" if client.node else "outside of the cluster"
    return f"client   {client.name} {client.addresses[0]} to {client.addresses[-1]}, {place}"


def _balancer(balancer: BalancerPlan) -> Iterator[str]:
    for address in balancer.addresses:
        ports = [
            f"port {port.port}/{port.protocol} to {port.service}, node port {port.node_port}"
            for port in balancer.services
            if port.address == address
        ]
        ports += [
            f"port 80 for the Ingress {', '.join(site.ingresses)}"
            for site in balancer.ingresses
            if site.address == address
        ]
        yield f"balancer {address}: {'; '.join(ports) or 'no port'}"


def _notes(cluster: ClusterSpec) -> Iterator[str]:
    return (f"note     {warning}" for warning in cluster.warnings)
