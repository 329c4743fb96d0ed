"""Sockets that answer as pods, as a node's process, or as the world beyond: who was reached, whom it saw.

Every answer is the line of `labkit.traffic.answer`, and comes from the address that was asked.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from labkit.fabric.namespace import Namespace
from labkit.traffic.answer import answer_line, answer_start, flow_id

IP_PKTINFO = 8
_PKTINFO = struct.Struct("=I4s4s")
KINDS = {
    "TCP": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "UDP": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "SCTP": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
Arrived = Callable[[str, str, str], None]
"""Called with a datagram's flow, the responder's name, and the address that the datagram came from."""


def open_responders(
    namespace: Namespace, name: str, protocols: tuple[str, ...], ports: tuple[int, ...], address: str = ""
) -> list[Responder]:
    """Return listening sockets in `namespace` for every protocol and port, on `address` or on all."""

    def bind(protocol: str, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, *KINDS[protocol])
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if protocol == "UDP":
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.bind((address, port))
        bound.setblocking(False)
        if protocol != "UDP":
            bound.listen(1024)
        return bound

    opened = namespace.run(lambda: [(p, bind(p, port)) for p in protocols for port in ports])
    return [Responder(name, protocol, bound) for protocol, bound in opened]


class Responder:
    """One listening socket; `answer` takes one connection or datagram and answers it."""

    def __init__(self, name: str, protocol: str, bound: socket.socket) -> None:
        self.name = name
        self.socket = bound
        self.start = answer_start(name, "", "")
        self.answer = self._answer_datagram if protocol == "UDP" else self._answer_connection

    def _answer_connection(self, arrived: Arrived) -> None:
        try:
            accepted, peer = self.socket.accept()
        except OSError:  # it has gone again
            return
        with accepted:
            try:
                accepted.send(answer_line(self.start, peer))
            except OSError:
                return

    def _answer_datagram(self, arrived: Arrived) -> None:
        try:
            datagram, ancillary, _, peer = self.socket.recvmsg(1024, 128)
        except OSError:  # an ICMP error: an earlier answer did not find back
            return
        flow = flow_id(datagram)
        arrived(flow.decode(), self.name, peer[0])
        _, _, asked = _PKTINFO.unpack(ancillary[0][2][: _PKTINFO.size])
        control = [(socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO.pack(0, asked, b"\0\0\0\0"))]
        try:
            self.socket.sendmsg([answer_line(self.start, peer, flow)], control, 0, peer)
        except OSError:  # nobody there who could be answered
            return
