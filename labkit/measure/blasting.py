"""A blast through a Service port: how many new flows a second, who got how many, and what was lost where."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.measure.records import Clock  # noqa: TC001  a field's type
from labkit.traffic.blast import ArrivalPoint, blast
from labkit.traffic.blastframes import PORTS, LinkLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from labkit.fabric.build import Network
    from labkit.fabric.namespace import Namespace
    from labkit.measure.experiment import Programmed, ServiceTarget
    from labkit.spec.addressplan import AddressPlan

CONNTRACK_STATISTICS = Path("/proc/thread-self/net/stat/nf_conntrack")  # /proc/net is the main thread's


@dataclass(frozen=True, slots=True)
class BlastResult:
    """What came of `sent` flows of one frame each: TCP SYNs or UDP datagrams.

    `delivered` counts arrivals by pod; `lost` are the others. `conntrack_refused` of the lost ones found no
    room in a node's conntrack table, or clashed there; `conntrack_evicted` older flows made room for new
    ones (nf_conntrack_max; None: this Linux does not count). `seconds` runs from the first frame to the last
    arrival.
    """

    service: str
    protocol: str
    mode: str
    algorithm: str
    clock: Clock
    sent: int
    delivered: Mapping[str, int]
    seconds: float
    conntrack_refused: int | None
    conntrack_evicted: int | None

    @property
    def lost(self) -> int:
        """How many frames arrived at no pod."""
        return self.sent - sum(self.delivered.values())

    @property
    def frames_per_s(self) -> float:
        """Frames per second that arrived."""
        return (self.sent - self.lost) / self.seconds

    def __repr__(self) -> str:
        kind = "SYNs" if self.protocol == "TCP" else "datagrams"
        lost = f"{self.lost:,} lost" if self.lost else "none lost"
        if self.lost and self.conntrack_refused:
            lost += f" ({self.conntrack_refused:,} refused by conntrack; lab.reset() empties it)"
        if self.conntrack_evicted:
            lost += f"; conntrack was full: {self.conntrack_evicted:,} older flows made room"
        shares = ", ".join(f"{pod} {count:,}" for pod, count in self.delivered.items())
        return (
            f"{self.sent:,} {kind} to {self.service}, each a new flow, in {self.mode} mode "
            f"({self.algorithm}): {self.frames_per_s:,.0f} a second delivered, {lost}\n"
            f"  {shares}"
        )


def blast_service(
    network: Network,
    service: ServiceTarget,
    flows: int,
    *,
    programmed: Programmed,
    client: str = "client",
    on_progress: Callable[[int, int], None] | None = None,
) -> BlastResult:
    """Send the first frame of each of `flows` new flows to a Service port; return who got how many.

    Raises RequestError for a client, number or clock that cannot be, for a Service without endpoints and a
    client without a route to it, TrafficError where frames cannot be sent or counted.
    """
    plan = network.plan
    link = plan_first_hop(plan, client, service.target.address)
    sources = plan.clients[client].addresses
    _require_sense(service, flows, programmed.clock, len(sources) * PORTS)
    nodes = [network.namespaces[one.name] for one in plan.namespaces if one.kind == "node"]
    before = _read_conntrack(nodes)
    counted = blast(
        network.client(client),
        link,
        sources,
        service.target,
        tuple(arrival_points(network, service.pods)),
        flows=flows,
        on_progress=on_progress,
    )
    after = _read_conntrack(nodes)
    return BlastResult(
        service=service.service,
        protocol=service.target.protocol,
        mode=programmed.mode,
        algorithm=programmed.algorithm,
        clock=programmed.clock,
        sent=counted.sent,
        delivered=counted.delivered,
        seconds=counted.seconds,
        conntrack_refused=after[0] - before[0] if before and after else None,
        conntrack_evicted=after[1] - before[1] if before and after else None,
    )


def plan_first_hop(plan: AddressPlan, client: str, address: str) -> LinkLayer:
    """Return the link layer of frames from a client to `address`: its interface and its gateway's MAC.

    Raises RequestError for an unknown client, and for one that has no route there.
    """
    namespace = plan.client(client)
    wanted = IPv4Address(address)
    routes = [route for route in namespace.routes if route.via and wanted in IPv4Network(route.destination)]
    if not routes:
        raise RequestError(
            f"the client {client!r} has no route to {address}",
            where="its routing table",
            todo="blast from a client that is a pod: they know the way to cluster IPs",
        )
    route = max(routes, key=lambda one: IPv4Network(one.destination).prefixlen)
    gateway = next(
        one.mac
        for one in namespace.neighbours
        if (one.interface, one.address) == (route.interface, route.via)
    )
    return LinkLayer(route.interface.name, route.interface.mac, gateway)


def _require_sense(service: ServiceTarget, flows: int, clock: Clock, most: int) -> None:
    if clock == "virtual":
        raise RequestError(
            "frames per second mean nothing where time is virtual: sending takes none",
            where="blast",
            todo="blast in a guest with real time: labkit exec without --virtual-time",
        )
    if not service.pods:
        raise RequestError(
            f"{service.service} has no endpoint that could receive",
            where="blast",
            todo="let its selector match pods that are ready",
        )
    if not 1 <= flows <= most:
        raise RequestError(
            f"{flows:,} flows cannot be sent", where="blast", todo=f"1 to {most:,}: addresses times ports"
        )


def arrival_points(network: Network, pods: Iterable[str]) -> Iterator[ArrivalPoint]:
    """Yield where frames to each pod are counted: its interface, its address."""
    plan = network.plan
    for pod in pods:
        namespace = plan.pod(pod)
        interface = plan.link(namespace.name).interface
        address = next(one.address for one in namespace.addresses if one.interface == interface)
        yield ArrivalPoint(pod, network.pod(pod), interface.name, address, namespace.kind == "pod")


def _read_conntrack(nodes: Iterable[Namespace]) -> tuple[int, int] | None:
    """Return how many flows conntrack has refused, and evicted, in all nodes; None where it does not say."""
    try:
        tables = [node.run(CONNTRACK_STATISTICS.read_text) for node in nodes]
    except OSError:
        return None
    refused = evicted = 0
    for table in tables:
        names, *processors = (line.split() for line in table.splitlines())
        for values in processors:
            row = {name: int(value, 16) for name, value in zip(names, values, strict=False)}
            refused += row["drop"] + row["insert_failed"]
            evicted += row["early_drop"]
    return refused, evicted
