"""The values of one measured flow: where it goes, and what the client saw of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WORK = "work="  # how many service times a request takes: /?work=20
FlowError = Literal["refused", "timeout", "reset"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where flows go: an address, a port, and TCP or UDP."""

    address: str
    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class FlowOutcome:
    """What the client saw of one flow.

    `client` and `peer` are `address:port`: what the client sent from and whom the pod saw (they differ
    behind masquerading). Latencies are in microseconds: `connect_us` up to the established connection (None
    for UDP), `response_us` from the request to the whole answer. Where flows have an intended start, the
    first of them counts from there, so that a client that comes late cannot hide a delay ("coordinated
    omission").

    `error`: `refused` (a reset or an ICMP error instead of a connection), `reset` (it broke off before the
    whole answer), `timeout` (nothing in time, or the network itself gave up to look for the host). None:
    answered.
    """

    number: int
    client: str
    started_us: float
    pod: str | None
    peer: str | None
    connect_us: float | None
    response_us: float | None
    error: FlowError | None


def datagram_of(number: int, times: float = 1.0) -> bytes:
    """Return what UDP flow `number` asks with: its number, which the answer repeats, and its work."""
    return b"%d\n" % number if times == 1 else f"{number} {WORK}{times:g}\n".encode()


def request_of(target: Target, times: float = 1.0) -> bytes:
    """Return what a TCP flow asks with; one that takes several service times says so in its query."""
    query = "" if times == 1 else f"?{WORK}{times:g}"
    return f"GET /{query} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
