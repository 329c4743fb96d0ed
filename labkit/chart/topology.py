"""A lab's network as a picture: nodes, pods, clients, the lan, the balancer, and Services."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from labkit.chart.diagram import Diagram
from labkit.chart.facts import counted, listing
from labkit.chart.table import Column, Table
from labkit.chart.topology_plan import endpoint_services, plan_topology, service_place
from labkit.chart.topology_svg import topology_svg
from labkit.spec.naming import namespace_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.chart.topology_plan import Live
    from labkit.lab.live import LiveCluster
    from labkit.spec.addressplan import AddressPlan
    from labkit.spec.model import ClusterSpec

ROWS_SHOWN = 300
COLUMNS = tuple(Column(title, "left") for title in ("what", "name", "address", "where", "more"))

Row = tuple[str, str, str, str, str]


def show_topology(lab: LiveCluster) -> Diagram:
    """Return the picture of a lab as it is now. Raises RequestError when the lab is closed."""
    names = [manifest.rpartition("/")[2] for manifest in lab.manifests]
    return topology_diagram(lab.cluster, lab.network.plan, f"The lab {' '.join(names)}")


def topology_diagram(
    cluster: ClusterSpec, plan: AddressPlan, name: str = "The lab", live: Live | None = None
) -> Diagram:
    """Return the picture of a cluster and its network, built or not; `live` is what changes in it."""
    size = f"{counted(len(cluster.nodes), 'node')} and {counted(len(cluster.pods), 'pod')}"
    title, alt = f"{name}: {size}", _alt(cluster, plan, f"{name} has {size}")
    svg = topology_svg(plan_topology(cluster, plan, title, live), alt)
    return Diagram(title, svg, _table(cluster, plan), alt)


def _alt(cluster: ClusterSpec, plan: AddressPlan, start: str) -> str:
    nodes = [f"{node.name} {node.address}" for node in cluster.nodes]
    clients = [
        f"{one.name} as a pod on {one.node}" if one.node else f"{one.name} beside the nodes"
        for one in plan.clients.values()
    ]
    services = [f"{namespace_name(service)} {service_place(service)}" for service in cluster.services]
    sentence = f"{start} ({listing(nodes)}), joined by one network, the lan"
    if clients:
        sentence += f"; clients: {listing(clients)}"
    if plan.balancer is not None:
        sentence += "; a load balancer stands on the lan"
    if services:
        sentence += f"; Services: {listing(services)}"
    return sentence + "."


def _table(cluster: ClusterSpec, plan: AddressPlan) -> Table:
    rows = list(islice(_rows(cluster, plan), ROWS_SHOWN + 1))
    if len(rows) > ROWS_SHOWN:
        rows[ROWS_SHOWN:] = [("more", "…", "", "", "the rest is in lab.services and lab.pods")]
    return Table("Everything in the lab that has an address", COLUMNS, tuple(rows))


def _rows(cluster: ClusterSpec, plan: AddressPlan) -> Iterator[Row]:
    names = {service.key: namespace_name(service) for service in cluster.services}
    services = endpoint_services(cluster)
    for node in cluster.nodes:
        yield "node", node.name, node.address, "lan", f"pods in {node.pod_cidr}"
    for pod in cluster.pods:
        serving = ", ".join(names[key] for key in services.get(pod.key, ()) if key in names)
        more = f"endpoint of {serving}" if serving else ""
        yield "pod", namespace_name(pod), pod.address, pod.node, more if pod.ready else f"{more}, not ready"
    for client in plan.clients.values():
        more = f"to {client.addresses[-1]}" if len(client.addresses) > 1 else ""
        yield "client", client.name, client.address, client.node or "lan", more
    if plan.balancer is not None:
        for address in plan.balancer.addresses[1:]:
            yield "balancer", plan.balancer.name, address.address, "lan", ""
    for service in cluster.services:
        yield "Service", names[service.key], service_place(service), "every node", service.type
