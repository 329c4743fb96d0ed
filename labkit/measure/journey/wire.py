"""What a packet's bytes say: its headers, which connection it belongs to, and what tells it from others.

Address translation leaves alone what a packet is known by: TCP's sequence numbers and flags, a datagram's
data, and of an ICMP error the packet that it quotes.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.measure.journey.events import Headers
from labkit.measure.journey.netfilterreports import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Hashable

_IPV4 = struct.Struct("!BxHHxxBBxx4s4s")
_TCP_FLAGS = "FSRPAUEC"
_MOST_KNOWN_BY = 40  # bytes of data: what a beacon's copy has of any packet
_ICMP_NAMES = {
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 10): "host prohibited",
    (3, 13): "communication prohibited",
    (5, 0): "redirect",
    (5, 1): "redirect",
    (11, 0): "time exceeded",
}
_SCTP_CHUNKS = {0: "DATA", 1: "INIT", 2: "INIT-ACK", 3: "SACK", 6: "ABORT", 7: "SHUTDOWN", 10: "COOKIE-ECHO"}


@dataclass(frozen=True, slots=True)
class Wire:
    """One direction of a connection as it is at some place: protocol and `address:port` at both ends."""

    protocol: str
    source: str
    destination: str

    @property
    def reversed(self) -> Wire:
        """The other direction."""
        return Wire(self.protocol, self.destination, self.source)


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet at one place. `wire` is what it belongs to: of an ICMP error the wire that it quotes."""

    headers: Headers
    wire: Wire
    is_error: bool
    known_by: Hashable


def read_packet(data: bytes) -> Seen | None:
    """Return what the bytes of an IPv4 packet say; None for a fragment, or a protocol without ports."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    first, length, identity, ttl, number, source, destination = _IPV4.unpack_from(data)
    if struct.unpack_from("!H", data, 6)[0] & 0x1FFF:
        return None
    body = data[(first & 15) * 4 :]
    protocol = PROTOCOLS.get(number, "")
    ends = socket.inet_ntoa(source), socket.inet_ntoa(destination)
    if protocol == "ICMP":
        return _read_error(body, Headers("ICMP", *ends, "", ttl, length), identity)
    if not protocol or len(body) < 8:
        return None
    ports = struct.unpack_from("!HH", body)
    source_end, destination_end = (f"{end}:{port}" for end, port in zip(ends, ports, strict=True))
    flags, known_by = _transport(protocol, body, length)
    headers = Headers(protocol, source_end, destination_end, flags, ttl, length)
    wire = Wire(protocol, source_end, destination_end)
    return Seen(headers, wire, is_error=False, known_by=known_by)


def _transport(protocol: str, body: bytes, length: int) -> tuple[str, Hashable]:
    if protocol == "TCP" and len(body) >= 20:
        sequence, acknowledged, _, bits = struct.unpack_from("!IIBB", body, 4)
        flags = "".join(letter for bit, letter in enumerate(_TCP_FLAGS) if bits >> bit & 1)
        return flags, (protocol, sequence, acknowledged, bits, length)
    if protocol == "SCTP" and len(body) >= 13:
        name = _SCTP_CHUNKS.get(body[12], str(body[12]))
        return name, (protocol, body[4:8], body[12 : 12 + _MOST_KNOWN_BY], length)
    return "", (protocol, body[8 : 8 + _MOST_KNOWN_BY], length)


def _read_error(body: bytes, headers: Headers, identity: int) -> Seen | None:
    if len(body) < 28 or body[0] not in {3, 5, 11, 12}:
        return None
    quoted = read_packet(body[8:])
    if quoted is None:
        return None
    name = _ICMP_NAMES.get((body[0], body[1]), f"type {body[0]} code {body[1]}")
    named = Headers("ICMP", headers.source, headers.destination, name, headers.ttl, headers.length)
    return Seen(named, quoted.wire, is_error=True, known_by=("ICMP", body[0], body[1], identity))


def what_is(headers: Headers, *, is_request: bool) -> str:
    """Return what a packet is called: SYN, SYN-ACK, ACK, data, FIN, RST, datagram, answer, ICMP ..."""
    if headers.protocol == "ICMP":
        return f"ICMP {headers.flags}"
    if headers.protocol == "UDP":
        return "datagram" if is_request else "answer"
    if headers.protocol != "TCP":
        return headers.flags
    for letter, name in (("R", "RST"), ("S", "SYN"), ("F", "FIN"), ("P", "data")):
        if letter in headers.flags:
            return f"{name}-ACK" if name == "SYN" and "A" in headers.flags else name
    return "ACK"
