"""Frames for `blast`: built once by Scapy; then the bytes that differ are patched, a whole batch at a time.

All frames of a batch come from one address and from ports in a row. A checksum is a sum modulo 65535 (RFC
1071), so that the checksums of such frames are a run in a row, too: each changing byte of all frames is one
assignment to a slice of the buffer, which C code carries out. RFC 1624 has the rule for patching them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.traffic.scapylock import SCAPY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.traffic.flow import Target
    from labkit.traffic.packetsocket import Program

MODULUS = 0xFFFF
IP_CHECKSUM, IP_SOURCE, SOURCE_PORT, SEQUENCE_LOW = 24, 26, 34, 40  # offsets in a frame, Ethernet at 0
FIRST_PORT, PORTS = 1024, 64512  # all but the privileged ones
_TABLE = range(3 * MODULUS)
_HIGH_OF_PORT = bytes(port >> 8 for port in range(1 << 16))
_LOW_OF_PORT = bytes(range(256)) * 256
_HIGH_OF_CHECKSUM = bytes((-total % MODULUS or MODULUS) >> 8 for total in _TABLE)
_LOW_OF_CHECKSUM = bytes((-total % MODULUS or MODULUS) & 0xFF for total in _TABLE)


@dataclass(frozen=True, slots=True)
class LinkLayer:
    """The two ends of a frame's first hop: MAC addresses, and the interface that it leaves through."""

    interface: str
    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class Run:
    """Flows in a row: `count` source ports from `first_port` on, of one source address."""

    source: str
    first_port: int
    count: int


def plan_runs(sources: Sequence[str], first: int, flows: int, most: int) -> Iterator[Run]:
    """Yield runs of at most `most` flows: `flows` of them, from flow number `first` on, each one distinct.

    Flow n has source port FIRST_PORT + n mod PORTS, and the addresses take turns every PORTS flows. Numbers
    go round after len(sources) * PORTS flows.
    """
    number, last = first, first + flows
    while number < last:
        turn, port = divmod(number, PORTS)
        count = min(most, last - number, PORTS - port)
        yield Run(sources[turn % len(sources)], FIRST_PORT + port, count)
        number += count


def craft_frame(link: LinkLayer, target: Target, mark: int) -> bytes:
    """Let Scapy build the frame that all others are patched from: a TCP SYN or a UDP datagram.

    Its source address and port are zero. `mark` (16 bits) tells it from all other traffic: it is the upper
    half of the sequence number, or the payload.
    """
    with SCAPY:
        from scapy.layers.inet import IP, TCP, UDP
        from scapy.layers.l2 import Ether

        lower = Ether(src=link.source, dst=link.destination) / IP(src="0.0.0.0", dst=target.address)
        if target.protocol == "TCP":
            return bytes(lower / TCP(sport=0, dport=target.port, flags="S", seq=mark << 16))
        return bytes(lower / UDP(sport=0, dport=target.port) / struct.pack("!H", mark))


def arrival_filter(target: Target, pod_address: str, mark: int) -> Program:
    """Return the classic BPF program that lets through the frames with `mark` that arrive at a pod.

    It begins at the IP header. One byte of each is enough: they are counted, not read.
    """
    is_tcp = target.protocol == "TCP"
    checks = (
        (0x28, 0xFFFFF000, 0x0800),  # the link layer's protocol (SKF_AD_PROTOCOL) is IPv4
        (0x30, 9, 6 if is_tcp else 17),  # the protocol
        (0x20, 16, struct.unpack("!I", _address(pod_address))[0]),  # to this pod
        (0x48, 4 if is_tcp else 8, mark),  # behind the IP header, x bytes long
    )
    length_of_header = (0xB1, 0, 0, 0)
    program: list[tuple[int, int, int, int]] = [length_of_header]
    for number, (load, offset, wanted) in enumerate(checks):
        to_reject = 2 * (len(checks) - number) - 1
        program += [(load, 0, 0, offset), (0x15, 0, to_reject, wanted)]
    return (*program, (0x06, 0, 0, 1), (0x06, 0, 0, 0))


class FrameBatch:
    """A buffer of equal frames, one after the other, each `frame_bytes` long; `aim` makes them differ."""

    def __init__(self, frame: bytes, count: int) -> None:
        """Lay `frame` from `craft_frame` out `count` times."""
        self.buffer = bytearray(frame * count)
        self.frame_bytes = len(frame)
        self._is_tcp = frame[23] == 6
        self._checksum = SOURCE_PORT + (16 if self._is_tcp else 6)
        self._ip_total = -_word(frame, IP_CHECKSUM)
        self._total = -_word(frame, self._checksum)
        self._of_source = 0
        self._source = ""

    def aim(self, run: Run) -> None:
        """Let the first frames of the buffer be those of `run`."""
        if run.source != self._source:
            self._come_from(run.source)
        ports = slice(run.first_port, run.first_port + run.count)
        high, low = _HIGH_OF_PORT[ports], _LOW_OF_PORT[ports]
        self._lay(SOURCE_PORT, high, low)
        step = 1
        if self._is_tcp:  # the lower half of the sequence number is the port: no two flows have the same
            self._lay(SEQUENCE_LOW, high, low)
            step = 2
        first = (self._total + self._of_source + step * run.first_port) % MODULUS
        totals = slice(first, first + step * run.count, step)
        self._lay(self._checksum, _HIGH_OF_CHECKSUM[totals], _LOW_OF_CHECKSUM[totals])

    def _come_from(self, source: str) -> None:
        address = _address(source)
        self._source, self._of_source = source, sum(struct.unpack("!HH", address))
        total = (self._ip_total + self._of_source) % MODULUS
        count = len(self.buffer) // self.frame_bytes
        for offset in (0, 2):
            self._lay(
                IP_SOURCE + offset, address[offset : offset + 1] * count, address[offset + 1 :][:1] * count
            )
        self._lay(
            IP_CHECKSUM,
            _HIGH_OF_CHECKSUM[total : total + 1] * count,
            _LOW_OF_CHECKSUM[total : total + 1] * count,
        )

    def _lay(self, offset: int, high: bytes, low: bytes) -> None:
        """Write a 16-bit word at `offset` of the first frames: upper bytes, lower bytes."""
        end = len(high) * self.frame_bytes
        self.buffer[offset : end : self.frame_bytes] = high
        self.buffer[offset + 1 : end : self.frame_bytes] = low


def _word(frame: bytes, offset: int) -> int:
    return int.from_bytes(frame[offset : offset + 2])


def _address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))
