"""One flow under way, as its client holds it: a socket, what has come back so far, and when what happened."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING, NoReturn

from labkit.traffic.answer import read_answer
from labkit.traffic.flow import FlowError, FlowOutcome, datagram_of
from labkit.traffic.http1 import whole_body

if TYPE_CHECKING:
    from labkit.traffic.flow import Target
    from labkit.traffic.workload import FlowPlan

READ_BYTES = 1 << 14


class ClientFlow:
    """One flow. Its methods raise OSError for what goes wrong, BlockingIOError where there is to wait.

    A flow reads the clock as seldom as it can: in User-Mode Linux that is a system call like any other.
    """

    __slots__ = (
        "asked_ns",
        "begun_ns",
        "client",
        "connected_ns",
        "data",
        "done",
        "is_tcp",
        "number",
        "socket",
        "times",
    )

    def __init__(self, plan: FlowPlan, opened: socket.socket, port: int, begun_ns: int) -> None:
        self.number = plan.number
        self.times = plan.times
        self.socket = opened
        self.is_tcp = opened.type == socket.SOCK_STREAM
        self.client = f"{plan.client}:{port}"
        self.begun_ns = begun_ns
        self.connected_ns = 0
        self.asked_ns = 0
        self.data = b""
        self.done = False

    def connect(self, target: Target, request: bytes) -> None:
        """Begin the connection; ask at once where that can be.

        Without a delay on the way the handshake is over when connect() returns: then nothing waits for the
        loop to come round.
        """
        status = self.socket.connect_ex((target.address, target.port))
        if status not in {0, errno.EINPROGRESS}:
            raise OSError(status, os.strerror(status))
        if not self.is_tcp:
            self.connected_ns = self.asked_ns = self.begun_ns
            self.socket.send(datagram_of(self.number, self.times))
            return
        with contextlib.suppress(BlockingIOError):
            self.ask(request)

    def ask(self, request: bytes, connected_ns: int = 0) -> None:
        """Send the request; `connected_ns` is when the connection was there, 0: just now."""
        asked_ns = time.monotonic_ns()
        self.socket.send(request)
        self.connected_ns = connected_ns or asked_ns
        self.asked_ns = asked_ns

    def raise_failure(self) -> NoReturn:
        """Raise the OSError with which the connection failed."""
        status = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        raise OSError(status, os.strerror(status))

    def read(self) -> bytes:
        """Return the body of the whole answer. Raises ConnectionResetError where it breaks off."""
        while True:
            data = self.socket.recv(READ_BYTES)
            self.data += data
            body = whole_body(self.data, ended=not data) if self.is_tcp else data
            if body is not None:
                return body
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def outcome(
        self, origin_ns: int, *, body: bytes = b"", answered_ns: int = 0, error: FlowError | None = None
    ) -> FlowOutcome:
        """Return what came of it; times count from `origin_ns`."""
        answer = read_answer(body)
        has_connected = self.is_tcp and self.connected_ns > 0
        return FlowOutcome(
            number=self.number,
            client=self.client,
            started_us=(self.begun_ns - origin_ns) / 1000,
            pod=answer.pod if answer else None,
            peer=answer.peer if answer else None,
            connect_us=(self.connected_ns - self.begun_ns) / 1000 if has_connected else None,
            response_us=(answered_ns - self.asked_ns) / 1000 if error is None else None,
            error=error,
        )
