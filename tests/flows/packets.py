"""Questions that no socket asks: a packet for 127.0.0.1 on the wire, a SYN-ACK that nobody waits for."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct

from flows.scene import DAEMON_PORT

_IP = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIBBHHH")
_ETHERNET_IPV4 = 0x0800
_RST = 0x04
_FLAGS = {"SYN-ACK": 0x12, "ACK": 0x10}
_ports = itertools.count(40000)


def send_to_loopback(source: str, mac: str, flow: str) -> None:
    """Put a datagram from `source` to 127.0.0.1 on the wire, to the node with this MAC."""
    data = flow.encode()
    udp = struct.pack("!HHHH", next(_ports), DAEMON_PORT, 8 + len(data), 0) + data
    addresses = socket.inet_aton(source), socket.inet_aton("127.0.0.1")
    head = _IP.pack(0x45, 0, _IP.size + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as wire:
        wire.sendto(head + udp, ("eth0", _ETHERNET_IPV4, 0, 0, bytes.fromhex(mac.replace(":", ""))))


class StrayPacket:
    """A segment of no connection, a "stray SYN-ACK" or "stray ACK"; whoever gets it resets it."""

    protocol = "TCP"
    flow = ""
    refusal = ""
    forbidden = False

    def __init__(self, source: str, target: tuple[str, int], kind: str) -> None:
        self.own = source
        self.port, self.peer = next(_ports), target
        self.flags = _FLAGS[kind.split()[1]]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        segment = self._segment(0)
        addresses = socket.inet_aton(source) + socket.inet_aton(target[0])
        pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(segment))
        with contextlib.suppress(PermissionError):  # the node's own rules drop it
            self.socket.sendto(self._segment(_checksum(pseudo + segment)), (target[0], 0))

    def _segment(self, checksum: int) -> bytes:
        return _TCP.pack(self.port, self.peer[1], 1, 1, 5 << 4, self.flags, 1024, checksum, 0)

    def outcome(self) -> str:
        """Return "reset" once its RST is there, else ""."""
        try:
            while True:
                packet, (peer, _) = self.socket.recvfrom(1024)
                segment = packet[(packet[0] & 15) * 4 :]
                from_port, port, _, _, _, flags, *_ = _TCP.unpack_from(segment)
                if ((peer, from_port), port) == (self.peer, self.port) and flags & _RST:
                    return "reset"
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


class WirePacket:
    """A datagram for 127.0.0.1 that comes from the wire; only its arrival can tell of it."""

    protocol = "UDP"
    refusal = ""
    forbidden = False

    def __init__(self, source: str, mac: str) -> None:
        self.own = source
        self.flow = f"w{next(_ports)}"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        send_to_loopback(source, mac, self.flow)

    def outcome(self) -> str:
        """Return "": no answer ever comes."""
        return ""

    def close(self) -> None:
        """Close the socket that nobody sends to."""
        self.socket.close()


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data)) if len(data) % 2 == 0 else _checksum(data + b"\0")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
