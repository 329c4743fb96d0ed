"""Where everything stands in the picture of a lab: cluster and addresses -> boxes in pixels. Pure.

The lan is a bar. What stands on it (the client outside, the balancer) is above, the nodes hang below it, at
most three in a row, with their pods and the client that stands as a pod. Services have no place in a network:
they are labels on top, and a numbered mark on each pod says whose endpoint it is. What is too much is folded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from labkit.chart.facts import counted
from labkit.chart.svg import Box, width_px
from labkit.spec.naming import namespace_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.addressplan import AddressPlan
    from labkit.spec.clients import ClientPlan
    from labkit.spec.model import ClusterSpec, Node, Pod, Service

WIDTH_PX = 920.0
EDGE_PX = 16.0
GAP_PX = 14.0
NODES_A_ROW = 3
NODES_SHOWN = 9
PODS_SHOWN = 8  # of a node; with more, the last place says how many
SERVICES_SHOWN = 8
MARKS_SHOWN = 4  # of a pod
TITLE_PX = 46.0
LABEL_PX = 26.0
CHIP_PX = 42.0
CHIP_GAP_PX = 10.0
SHARE_PX = 16.0
HEAD_PX = 46.0  # a node's name and addresses
GUEST_PX = 46.0
DROP_PX = 22.0  # from the bar down to a node
BAR_PX = 22.0

Kind = Literal["pod", "client", "balancer", "more"]
PodLook = Literal["ready", "not ready", "terminating", "removed", "refuses", "unreachable"]


@dataclass(frozen=True, slots=True)
class Chip:
    """A pod, a client or what is folded: `marks` are the numbers of its Services, `share` 0 to 1."""

    kind: Kind
    name: str
    address: str
    box: Box
    marks: tuple[int, ...] = ()
    look: PodLook = "ready"
    share: float | None = None


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A node with what stands on it."""

    name: str
    address: str
    pod_cidr: str
    box: Box
    chips: tuple[Chip, ...]


@dataclass(frozen=True, slots=True)
class ServiceLabel:
    """A Service: `mark` is its number; where its clients call it."""

    mark: int
    name: str
    where: str
    box: Box


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """The whole picture. `bars` are the lan, one above each row of nodes; `trunk` joins them if several."""

    width: float
    height: float
    title: str
    lan: str
    services: tuple[ServiceLabel, ...]
    services_folded: int
    guests: tuple[Chip, ...]
    nodes: tuple[NodeBox, ...]
    nodes_folded: str
    bars: tuple[Box, ...]
    links: tuple[tuple[tuple[float, float], tuple[float, float]], ...]

    @property
    def chips(self) -> Iterator[Chip]:
        """Everything that stands somewhere."""
        yield from self.guests
        for node in self.nodes:
            yield from node.chips


@dataclass(frozen=True, slots=True)
class Live:
    """What changes while a lab lives, by pod (`namespace/name`): its look and its share of the answers.

    A pod without a share has no bar; it is not asked.
    """

    looks: Mapping[str, PodLook] = field(default_factory=lambda: MappingProxyType({}))
    shares: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def plan_topology(
    cluster: ClusterSpec, plan: AddressPlan, title: str = "", live: Live | None = None
) -> TopologyPlan:
    """Return where everything of a cluster and its network stands."""
    live = live or Live()
    labels, folded = _service_labels(cluster)
    top = max((label.box.bottom for label in labels), default=TITLE_PX - GAP_PX) + GAP_PX + 4
    guests = tuple(_guests(plan, top))
    top += GUEST_PX + DROP_PX if guests else 0.0
    shown = cluster.nodes if len(cluster.nodes) <= NODES_SHOWN else cluster.nodes[: NODES_SHOWN - 1]
    bars: list[Box] = []
    nodes: list[NodeBox] = []
    columns = _columns(len(shown))
    for start in range(0, len(shown), columns):
        bars.append(Box(EDGE_PX, top, WIDTH_PX - 2 * EDGE_PX, BAR_PX))
        here = shown[start : start + columns]
        contents = [_contents(node, cluster, plan, live) for node in here]
        row = list(_node_row(here, contents, columns, top + BAR_PX + DROP_PX))
        nodes += row
        top = max(node.box.bottom for node in row) + DROP_PX
    rest = cluster.nodes[len(shown) :]
    folded_nodes = _folded(rest, cluster)
    return TopologyPlan(
        WIDTH_PX,
        top - DROP_PX + EDGE_PX + (20 if folded_nodes else 0),
        title or _title(cluster),
        _lan(cluster, plan),
        labels,
        folded,
        guests,
        tuple(nodes),
        folded_nodes,
        tuple(bars),
        tuple(_links(guests, nodes, bars, columns)),
    )


def service_numbers(cluster: ClusterSpec) -> Mapping[str, int]:
    """Return the number of each Service that has clients to call it, by `namespace/name`, from 1."""
    return {service.key: number for number, service in enumerate(cluster.services, 1)}


def endpoint_services(cluster: ClusterSpec) -> Mapping[str, tuple[str, ...]]:
    """Return the Services (`namespace/name`) in whose slices a pod (`namespace/name`) stands."""
    found: dict[str, dict[str, None]] = {}
    for piece in cluster.slices:
        for endpoint in piece.endpoints:
            found.setdefault(endpoint.pod, {})[f"{piece.namespace}/{piece.service}"] = None
    return {pod: tuple(services) for pod, services in found.items()}


def service_place(service: Service) -> str:
    """Return where clients call a Service: "10.96.0.10:80, node port 30080"."""
    if service.type == "ExternalName":
        return f"→ {service.external_name}"
    ports = ", ".join(f"{port.port}" + ("/UDP" if port.protocol == "UDP" else "") for port in service.ports)
    if service.cluster_ip == "None":
        return f"headless, {ports}"
    node_ports = ", ".join(str(port.node_port) for port in service.ports if port.node_port)
    return f"{service.cluster_ip}:{ports}" + (f", node port {node_ports}" if node_ports else "")


def client_places(client: ClientPlan) -> str:
    """Return which addresses a client sends from: "10.244.1.128 +63"."""
    more = len(client.addresses) - 1
    return client.address + (f" +{more}" if more else "")


def _title(cluster: ClusterSpec) -> str:
    return f"{counted(len(cluster.nodes), 'node')}, {counted(len(cluster.pods), 'pod')}, " + counted(
        len(cluster.services), "Service"
    )


def _lan(cluster: ClusterSpec, plan: AddressPlan) -> str:
    node = cluster.nodes[0]
    length = next(one.prefix_length for one in plan.node(node.name).addresses if one.address == node.address)
    return str(IPv4Interface(f"{node.address}/{length}").network)


def _service_labels(cluster: ClusterSpec) -> tuple[tuple[ServiceLabel, ...], int]:
    """Return a label for each Service, in lines, and how many are folded."""
    labels: list[ServiceLabel] = []
    numbers = service_numbers(cluster)
    x, y = EDGE_PX, TITLE_PX + 18
    for service in islice(cluster.services, SERVICES_SHOWN):
        name, where = namespace_name(service), service_place(service)
        wide = min(
            38 + width_px(name, weight=600) + 10 + width_px(where, 12, mono=True), WIDTH_PX - 2 * EDGE_PX
        )
        if x > EDGE_PX and x + wide > WIDTH_PX - EDGE_PX:
            x, y = EDGE_PX, y + LABEL_PX + 8
        labels.append(ServiceLabel(numbers[service.key], name, where, Box(x, y, wide, LABEL_PX)))
        x += wide + 10
    return tuple(labels), len(cluster.services) - len(labels)


def _guests(plan: AddressPlan, top: float) -> Iterator[Chip]:
    """Yield what stands on the lan itself, from the left."""
    wide = (WIDTH_PX - 2 * EDGE_PX - 3 * GAP_PX) / 4
    outside = [client for client in plan.clients.values() if client.node is None]
    wanted: list[tuple[Kind, str, str]] = [("client", one.name, client_places(one)) for one in outside]
    if plan.balancer is not None:
        addresses = [one.address for one in plan.balancer.addresses[1:]]  # the first is where it sends from
        more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
        wanted.append(("balancer", plan.balancer.name, addresses[0] + more))
    if len(wanted) > 4:
        wanted = [*wanted[:3], ("more", f"{len(wanted) - 3} more", "")]
    for number, (kind, name, address) in enumerate(wanted):
        yield Chip(kind, name, address, Box(EDGE_PX + number * (wide + GAP_PX), top, wide, GUEST_PX - 4))


def _columns(nodes: int) -> int:
    return {1: 1, 2: 2, 4: 2}.get(nodes, NODES_A_ROW)


def _node_row(
    nodes: Sequence[Node], contents: Sequence[Sequence[Chip]], columns: int, top: float
) -> Iterator[NodeBox]:
    """Yield the boxes of one row of nodes, all as high as the highest needs to be."""
    wide = (WIDTH_PX - 2 * EDGE_PX - (columns - 1) * GAP_PX) / columns
    across = 4 if columns == 1 else 2
    has_shares = any(chip.share is not None for chips in contents for chip in chips)
    room = (wide - 2 * GAP_PX - (across - 1) * CHIP_GAP_PX) / across
    high = CHIP_PX + (SHARE_PX if has_shares else 0)
    lines = max(-(-len(chips) // across) for chips in contents)
    height = HEAD_PX + lines * (high + CHIP_GAP_PX) + 4
    for number, (node, chips) in enumerate(zip(nodes, contents, strict=True)):
        box = Box(EDGE_PX + number * (wide + GAP_PX), top, wide, height)
        places = (
            Box(
                box.x + GAP_PX + (at % across) * (room + CHIP_GAP_PX),
                top + HEAD_PX + (at // across) * (high + CHIP_GAP_PX),
                room,
                high,
            )
            for at in range(len(chips))
        )
        placed = tuple(replace(chip, box=place) for chip, place in zip(chips, places, strict=True))
        yield NodeBox(node.name, node.address, node.pod_cidr, box, placed)


def _contents(node: Node, cluster: ClusterSpec, plan: AddressPlan, live: Live) -> list[Chip]:
    """Return what stands on a node, not yet placed: its pods, how many are folded, its clients."""
    nowhere = Box(0, 0, 0, 0)
    chips = []
    pods = [pod for pod in cluster.pods if pod.node == node.name]
    shown = pods if len(pods) <= PODS_SHOWN else pods[: PODS_SHOWN - 1]
    numbers, services = service_numbers(cluster), endpoint_services(cluster)
    for pod in shown:
        marks = tuple(sorted(numbers[key] for key in services.get(pod.key, ()) if key in numbers))
        chips.append(_pod_chip(pod, marks, live))
    if len(pods) > len(shown):
        rest = pods[len(shown) :]
        share = sum(live.shares.get(pod.key, 0.0) for pod in rest) if live.shares else None
        chips.append(Chip("more", f"{len(rest)} more", f"to {rest[-1].address}", nowhere, share=share))
    clients = (one for one in plan.clients.values() if one.node == node.name)
    return [*chips, *(Chip("client", one.name, client_places(one), nowhere) for one in clients)]


def _pod_chip(pod: Pod, marks: tuple[int, ...], live: Live) -> Chip:
    return Chip(
        "pod",
        namespace_name(pod),
        pod.address,
        Box(0, 0, 0, 0),
        marks,
        live.looks.get(pod.key, "ready" if pod.ready else "not ready"),
        live.shares.get(pod.key),
    )


def _folded(nodes: Sequence[Node], cluster: ClusterSpec) -> str:
    if not nodes:
        return ""
    names = {node.name for node in nodes}
    pods = sum(pod.node in names for pod in cluster.pods)
    return (
        f"{counted(len(nodes), 'more node')} with {counted(pods, 'pod')}: {nodes[0].name} to {nodes[-1].name}"
    )


def _links(
    guests: Sequence[Chip], nodes: Sequence[NodeBox], bars: Sequence[Box], columns: int
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Yield the cables: from each guest down to the lan, from the lan to each node, and between its bars."""
    for guest in guests:
        yield (guest.box.middle, guest.box.bottom), (guest.box.middle, bars[0].y)
    for number, node in enumerate(nodes):
        yield (node.box.middle, bars[number // columns].bottom), (node.box.middle, node.box.y)
    if len(bars) > 1:
        yield (6.0, bars[0].y + BAR_PX / 2), (6.0, bars[-1].y + BAR_PX / 2)
