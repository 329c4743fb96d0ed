"""Fixed flows: TCP connections from given addresses and ports, one after the other, that can come again.

What a hash decides, or what remembers a connection, shows only when the very same flow comes a second time.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.traffic.answer import read_answer
from labkit.traffic.http1 import whole_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.traffic.flow import Target

Closing = Literal["reset", "by the pod"]
READ_BYTES = 1 << 14
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class FixedFlow:
    """One TCP flow, by the four values that tell it from all others."""

    source: str
    port: int
    target: Target


@dataclass(frozen=True, slots=True)
class FixedOutcome:
    """The pod that answered, None where none did; from connect() to the whole answer."""

    pod: str | None
    took_us: float


def send_fixed_flows(
    namespace: Namespace, flows: Sequence[FixedFlow], *, closing: Closing = "reset", timeout_s: float = 1.0
) -> tuple[FixedOutcome, ...]:
    """Send the flows from `namespace` in their order, each after the other, and return what came of each.

    `closing`: a reset by the client leaves nothing behind at either end; closed by the pod, after its answer,
    only the client's port is free at once.
    """
    return namespace.run(lambda: tuple(_send(flow, closing, timeout_s) for flow in flows))


def _send(flow: FixedFlow, closing: Closing, timeout_s: float) -> FixedOutcome:
    close = "" if closing == "reset" else "Connection: close\r\n"
    request = f"GET / HTTP/1.1\r\nHost: {flow.target}\r\n{close}\r\n".encode()
    begun_ns = time.monotonic_ns()
    pod = None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened, contextlib.suppress(OSError):
        if closing == "reset":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((flow.source, flow.port))
        opened.settimeout(timeout_s)
        opened.connect((flow.target.address, flow.target.port))
        opened.sendall(request)
        pod = _read_pod(opened, until_closed=closing != "reset")
    return FixedOutcome(pod, (time.monotonic_ns() - begun_ns) / 1000)


def _read_pod(opened: socket.socket, *, until_closed: bool) -> str | None:
    data = b""
    while True:
        more = opened.recv(READ_BYTES)
        data += more
        body = whole_body(data, ended=not more)
        if not more or (body is not None and not until_closed):
            answer = read_answer(body or b"")
            return answer.pod if answer else None
