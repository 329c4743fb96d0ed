"""Captures: every packet that passes some interfaces while something happens, dissected by Scapy."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from labkit.errors import TrafficError
from labkit.traffic.packetsocket import open_packet_socket, read_stamped
from labkit.traffic.scapylock import SCAPY

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from labkit.fabric.namespace import Namespace

BUFFER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class CapturePoint:
    """An interface to watch; `where` is what it is called in the result ("client", a pod's name)."""

    where: str
    namespace: Namespace
    interface: str = "eth0"


@dataclass(frozen=True, slots=True)
class SeenPacket:
    """One IPv4 packet as it passed at `where`.

    `source` and `destination` are `address:port`; `flags` are Scapy's letters (S SYN, A ACK, F FIN, R RST,
    P PSH; "" for UDP); `time_us` counts from the capture's start.
    """

    where: str
    time_us: float
    protocol: str
    source: str
    destination: str
    flags: str
    sequence: int  # TCP's sequence number; 0 for UDP
    ttl: int
    payload: bytes


class Capture:
    """A capture under way, with a socket at each of its points. A context manager."""

    def __init__(self, points: Sequence[CapturePoint]) -> None:
        """Start. Raises TrafficError where an interface cannot be watched."""
        self._started_ns = time.time_ns()
        self._seen: list[SeenPacket] = []
        self._taps: dict[int, tuple[str, socket.socket]] = {}
        self._poll = select.poll()
        try:
            for point in points:
                tap = _open(point)
                self._taps[tap.fileno()] = (point.where, tap)
                self._poll.register(tap, select.POLLIN)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def packets(self) -> tuple[SeenPacket, ...]:
        """Return the TCP and UDP packets over IPv4 seen so far, in the order of their time."""
        for where, tap in self._taps.values():
            for frame, at_ns in read_stamped(tap):
                packet = dissect(where, (at_ns - self._started_ns) / 1000, frame)
                if packet is not None:
                    self._seen.append(packet)
        self._seen.sort(key=lambda packet: packet.time_us)
        return tuple(self._seen)

    def wait(
        self, is_done: Callable[[tuple[SeenPacket, ...]], bool], timeout_s: float
    ) -> tuple[SeenPacket, ...]:
        """Return the packets as soon as `is_done` says so of them, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not is_done(packets := self.packets()):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._poll.poll(left_s * 1000):
                break
        return packets

    def close(self) -> None:
        """Stop. A second call does nothing."""
        for _, tap in self._taps.values():
            tap.close()


def dissect(where: str, time_us: float, frame: bytes) -> SeenPacket | None:
    """Let Scapy read an Ethernet frame; None if it holds neither TCP nor UDP over IPv4."""
    with SCAPY:
        from scapy.layers.inet import IP, TCP, UDP
        from scapy.layers.l2 import Ether

        packet: Any = Ether(frame)
        layer = TCP if TCP in packet else UDP
        if IP not in packet or layer not in packet:
            return None
        ip, transport = packet[IP], packet[layer]
        is_tcp = layer is TCP
        return SeenPacket(
            where=where,
            time_us=time_us,
            protocol="TCP" if is_tcp else "UDP",
            source=f"{ip.src}:{transport.sport}",
            destination=f"{ip.dst}:{transport.dport}",
            flags=str(transport.flags) if is_tcp else "",
            sequence=transport.seq if is_tcp else 0,
            ttl=ip.ttl,
            payload=bytes(transport.payload),
        )


def _open(point: CapturePoint) -> socket.socket:
    try:
        return point.namespace.run(lambda: open_packet_socket(point.interface, BUFFER_BYTES))
    except OSError as error:
        raise TrafficError(
            f"{point.interface} cannot be watched: {error.strerror}",
            where=point.where,
            todo="run it in the lab's Linux: labkit exec -- ...",
        ) from error
