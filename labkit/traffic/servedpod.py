"""One pod as it is served: its queue, its open sockets, and who is connected to it.

A pod serves one request at a time, first come, first served: a request that arrives at `a` is answered at
max(a, when the one before is done) + service time, Lindley's recursion.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from labkit.traffic.answer import answer_line, answer_start, flow_id, service_times
from labkit.traffic.http1 import http_response, request_length, wants_close

if TYPE_CHECKING:
    from labkit.traffic.server import Server

MOST_REQUEST_BYTES = 1 << 20
READ_BYTES = 1 << 14
MOST_DATAGRAM_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ServedPod:
    """One pod: its queue, its counts and its open sockets."""

    def __init__(self, name: str, node: str, address: str) -> None:
        self.name = name
        self.node = node
        self.address = address
        self.service_ns = 0
        self.idle_at_ns = 0
        self.received = 0
        self.answered = 0
        self.era = 0
        self.doors: list[TcpDoor | UdpDoor] = []
        self.connections: set[Connection] = set()

    def finish_time(self, request: bytes) -> int | None:
        """When a request that arrives now is done (monotonic_ns), None: at once. The queue grows by it."""
        if not self.service_ns and not self.idle_at_ns:
            return None
        self.idle_at_ns = max(time.monotonic_ns(), self.idle_at_ns) + round(
            self.service_ns * service_times(request)
        )
        return self.idle_at_ns

    def drop_queue(self) -> None:
        """Break off whatever waits or is served: connections are reset, datagrams get no answer."""
        self.era += 1
        self.idle_at_ns = 0
        for connection in tuple(self.connections):
            connection.reset()

    def die(self) -> None:
        """Close all as a killed program does: listeners refuse, connections are reset, the queue is lost."""
        for door in self.doors:
            door.close()
        self.doors.clear()
        self.drop_queue()


class TcpDoor:
    """A listening TCP socket of a pod."""

    def __init__(self, server: Server, pod: ServedPod, listener: socket.socket, port: int) -> None:
        self.server = server
        self.pod = pod
        self.listener = listener
        self.start = answer_start(pod.name, pod.node, f"{pod.address}:{port}")
        server.watch(listener, self)

    def on_readable(self) -> None:
        """Accept one who waits; the loop comes back for the next. Its request is often there already."""
        try:
            accepted, peer = self.listener.accept()
        except OSError:  # it has gone again, or too many are open: the next turn tries again
            return
        Connection(self.server, self.pod, accepted, answer_line(self.start, peer)).on_readable()

    def close(self) -> None:
        """Stop listening."""
        self.server.forget(self.listener)


class Connection:
    """One TCP connection: HTTP/1.x requests in, a line out for each; anything else is answered at its end."""

    def __init__(self, server: Server, pod: ServedPod, accepted: socket.socket, line: bytes) -> None:
        self.server = server
        self.pod = pod
        self.socket = accepted
        self.line = line
        self.unread = b""
        self.unsent = b""
        self.last = False
        self.waiting = False
        self.blocked = False
        self.draining = False
        self.ended = False
        pod.connections.add(self)
        server.watch(accepted, self)

    def on_readable(self) -> None:
        """Read what has come; whole requests go into the pod's queue, one at a time."""
        if self.blocked:
            self._send()
            return
        try:
            data = self.socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self.unread += data
        self.ended = not data
        self.serve_unread()
        if self.ended and self.is_open and not self.blocked:
            self.server.wait_for(self.socket, 0)  # it stays readable for ever: its end is

    def serve_unread(self) -> None:
        """Queue the next request; go on while answers leave at once, and close when nothing more can come."""
        if self.draining:
            return
        self.draining = True
        while self.is_open and not self.waiting and (request := self._take_request()):
            self._queue(request)
        self.draining = False
        if len(self.unread) > MOST_REQUEST_BYTES:
            self.reset()
        elif self.ended and not self.waiting:
            self.close()

    @property
    def is_open(self) -> bool:
        """Whether it can still be answered."""
        return self.socket.fileno() >= 0

    def _take_request(self) -> bytes:
        length = request_length(self.unread) or (len(self.unread) if self.ended else 0)
        request, self.unread = self.unread[:length], self.unread[length:]
        return request

    def _queue(self, request: bytes) -> None:
        self.waiting = True
        is_http = request_length(request) > 0
        response = http_response(self.line, request) if is_http else self.line
        last = not is_http or wants_close(request)
        self.server.serve(self.pod, request, lambda: self._answer(response, last=last))

    def _answer(self, response: bytes, *, last: bool) -> None:
        if not self.is_open:
            return
        self.pod.answered += 1
        self.unsent, self.last = response, last
        self._send()

    def _send(self) -> None:
        """Send what is unsent; a client that does not read holds up its own next request, and nobody else."""
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self.unsent:
            self.blocked = True
            self.server.wait_for(self.socket, select.EPOLLOUT)
            return
        if self.blocked:
            self.blocked = False
            self.server.wait_for(self.socket, 0 if self.ended else select.EPOLLIN)
        self.waiting = False
        if self.last:
            self.close()
        elif self.unread or self.ended:
            self.serve_unread()

    def reset(self) -> None:
        """Close with a TCP reset."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close; nothing of it stays."""
        self.pod.connections.discard(self)
        self.server.forget(self.socket)


class UdpDoor:
    """A bound UDP socket of a pod: every datagram is answered by one."""

    def __init__(self, server: Server, pod: ServedPod, bound: socket.socket, port: int) -> None:
        self.server = server
        self.pod = pod
        self.socket = bound
        self.start = answer_start(pod.name, pod.node, f"{pod.address}:{port}")
        server.watch(bound, self)

    def on_readable(self) -> None:
        """Take one datagram; the loop comes back for the next."""
        try:
            datagram, peer = self.socket.recvfrom(MOST_DATAGRAM_BYTES)
        except (BlockingIOError, ConnectionError):
            return
        line, era = answer_line(self.start, peer, flow_id(datagram)), self.pod.era
        self.server.serve(self.pod, datagram, lambda: self._answer(line, peer, era))

    def _answer(self, line: bytes, peer: tuple[str, int], era: int) -> None:
        if era != self.pod.era:
            return
        self.pod.answered += 1
        with contextlib.suppress(OSError):
            self.socket.sendto(line, peer)

    def close(self) -> None:
        """Stop answering."""
        self.server.forget(self.socket)
