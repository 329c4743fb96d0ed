"""Taps: how long a flow's first packet takes from the node's ingress to its pod, by the kernel's own stamps.

Each tap is an AF_PACKET socket on one interface. A filter in the kernel (classic BPF) lets only first
packets through: SYN without ACK, or UDP; SO_TIMESTAMPNS makes the kernel stamp them as they come in; the
socket's buffer holds them until the run is over. So a tap costs a filter run per packet, and nothing is
read while flows are timed.

Both ends of a flow are matched by what address translation leaves alone: the initial sequence number (RFC
9293, 3.4.1) or the datagram's payload, its flow number.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from labkit.errors import TrafficError
from labkit.traffic.packetsocket import Program, open_packet_socket, read_lost, read_stamped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.spec.addressplan import AddressPlan
    from labkit.traffic.flow import FlowOutcome

SNAP_BYTES = 256
BUFFER_BYTES_PER_FLOW = 8192  # what the kernel charges for a small packet, and room for repeated ones
LEAST_BUFFER_BYTES = 1 << 20

IS_IPV4 = (
    (0x28, 0, 0, 0xFFFFF000),  # load the link layer's protocol (SKF_AD_PROTOCOL)
    (0x15, 1, 0, 0x0800),  # IPv4: go on
    (0x06, 0, 0, 0),  # reject
)
FIRST_PACKET_FILTERS: dict[str, Program] = {
    "TCP": (
        *IS_IPV4,
        (0x30, 0, 0, 9),  # load the protocol
        (0x15, 0, 5, 6),  # not TCP: reject
        (0xB1, 0, 0, 0),  # x = length of the IP header
        (0x50, 0, 0, 13),  # load the flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # not SYN alone: reject
        (0x06, 0, 0, SNAP_BYTES),  # accept
        (0x06, 0, 0, 0),  # reject
    ),
    "UDP": (
        *IS_IPV4,
        (0x30, 0, 0, 9),
        (0x15, 0, 1, 17),
        (0x06, 0, 0, SNAP_BYTES),
        (0x06, 0, 0, 0),
    ),
}


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """A flow's first packet at a tap: where from (`address:port`), what marks it, when (ns since 1970)."""

    source: str
    mark: bytes
    at_ns: int


@dataclass(frozen=True, slots=True)
class TapReading:
    """What all taps saw: first packets at the nodes' ingress and at each pod, and how many the taps lost."""

    ingress: tuple[FirstPacket, ...]
    pods: Mapping[str, tuple[FirstPacket, ...]]
    lost: int

    def forward_us(self, outcomes: Iterable[FlowOutcome]) -> dict[int, float]:
        """Return the delay from ingress to pod in microseconds, by flow number; without flows not seen twice.

        A packet sent again counts from its first sight at either end: the time that a loss cost is part of
        it.
        """
        entered = {packet.source: packet for packet in _latest_first(self.ingress)}
        arrived = {
            (pod, packet.mark): packet.at_ns
            for pod, packets in self.pods.items()
            for packet in _latest_first(packets)
        }
        delays = {}
        for outcome in outcomes:
            packet = entered.get(outcome.client)
            arrived_ns = arrived.get((outcome.pod or "", packet.mark)) if packet else None
            if packet and arrived_ns:
                delays[outcome.number] = (arrived_ns - packet.at_ns) / 1000
        return delays


class Taps:
    """Open taps. A context manager; read them when the flows are over."""

    def __init__(
        self,
        ingress: Sequence[tuple[Namespace, str]],
        pods: Mapping[str, tuple[Namespace, str]],
        protocol: str,
        flows: int,
    ) -> None:
        """Tap interfaces, given as (namespace, name), for `flows` flows. Raises TrafficError if refused."""
        self._opened: list[socket.socket] = []
        buffer_bytes = max(LEAST_BUFFER_BYTES, flows * BUFFER_BYTES_PER_FLOW)
        self._protocol = protocol
        try:
            self._ingress = [self._open(place, buffer_bytes) for place in ingress]
            self._pods = {pod: self._open(place, buffer_bytes) for pod, place in pods.items()}
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> TapReading:
        """Return what the taps have seen since they were opened or read."""
        lost = sum(read_lost(tap) for tap in self._opened)
        ingress = tuple(packet for tap in self._ingress for packet in _packets(tap))
        return TapReading(ingress, {pod: tuple(_packets(tap)) for pod, tap in self._pods.items()}, lost)

    def close(self) -> None:
        """Remove the taps. A second call does nothing."""
        for tap in self._opened:
            tap.close()

    def _open(self, place: tuple[Namespace, str], buffer_bytes: int) -> socket.socket:
        namespace, interface = place
        program = FIRST_PACKET_FILTERS[self._protocol]
        try:
            tap = namespace.run(lambda: open_packet_socket(interface, buffer_bytes, program))
        except OSError as error:
            raise TrafficError(
                f"no packet tap can be put on {interface}: {error.strerror}",
                where=namespace.name,
                todo="measure without taps, or run it in the lab's Linux: labkit exec -- ...",
            ) from error
        self._opened.append(tap)
        return tap


def plan_ingress(plan: AddressPlan, client: str) -> tuple[tuple[str, str], ...]:
    """Return where flows of `client` enter the cluster, as (namespace, interface).

    A client that is a pod: the node's side of its veth pair. One outside: the LAN interface of every node.
    """
    link = plan.link(plan.client(client).name)
    nodes = {namespace.name for namespace in plan.namespaces if namespace.kind == "node"}
    if link.outer in nodes:
        return ((link.outer, link.port.name),)
    return tuple((node, plan.link(node).interface.name) for node in sorted(nodes))


def first_packet(packet: bytes, at_ns: int) -> FirstPacket:
    """Read source and mark from an IPv4 packet with TCP or UDP in it."""
    start = (packet[0] & 0x0F) * 4
    source = f"{socket.inet_ntoa(packet[12:16])}:{int.from_bytes(packet[start : start + 2])}"
    is_tcp = packet[9] == socket.IPPROTO_TCP
    length = int.from_bytes(packet[start + 4 : start + 6])
    mark = packet[start + 4 : start + 8] if is_tcp else packet[start + 8 : start + length]
    return FirstPacket(source, mark, at_ns)


def _latest_first(packets: Iterable[FirstPacket]) -> list[FirstPacket]:
    """Order packets so that in a dict the earliest of equal ones stays."""
    return sorted(packets, key=lambda packet: packet.at_ns, reverse=True)


def _packets(tap: socket.socket) -> Iterator[FirstPacket]:
    return (first_packet(packet, at_ns) for packet, at_ns in read_stamped(tap, SNAP_BYTES))
