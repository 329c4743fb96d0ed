"""A simulator: connections that come at given times to real servers that serve one after the other.

For clusters larger than any machine here, and to ask what would happen if. It knows no network: an answer
takes its waiting and its service time and nothing else.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.algorithms.servers import Connection, RealServer, VirtualServer

CLOSED_S = 120.0  # IPVS's own time-out of a connection that is closing, which it counts as inactive


@dataclass(frozen=True, slots=True)
class Served:
    """One connection: when it came, its server (None: refused), when service began and was over (s)."""

    arrived_s: float
    server: str | None
    begun_s: float
    over_s: float

    @property
    def latency_ms(self) -> float:
        """From arrival to answer."""
        return (self.over_s - self.arrived_s) * 1000


def simulate(
    virtual: VirtualServer,
    arrivals: Iterable[tuple[float, Connection]],
    service_ms: Mapping[str, float],
) -> tuple[Served, ...]:
    """Let connections come to a virtual server; return what became of each, in their order.

    `arrivals` are times in seconds, which must not go back, with the connection; `service_ms` is how long
    each real server works on one. A connection's waiting time follows the Lindley recursion of its server:
    it begins when it has come and the one before it is over. Raises RequestError for times that go back and
    servers without a time.
    """
    lacking = [server.name for server in virtual.servers if server.name not in service_ms]
    if lacking:
        raise RequestError(f"no service time for {', '.join(lacking)}", todo="give one for each real server")
    free_s = dict.fromkeys(service_ms, 0.0)
    ends = _Ends()
    served = []
    latest_s = float("-inf")
    for arrived_s, connection in arrivals:
        if arrived_s < latest_s:
            raise RequestError(f"a connection comes at {arrived_s} s, after one at {latest_s} s")
        latest_s = arrived_s
        ends.pass_until(arrived_s)
        server = virtual.choose(connection)
        if server is None:
            served.append(Served(arrived_s, None, arrived_s, arrived_s))
            continue
        begun_s = max(arrived_s, free_s[server.name])
        free_s[server.name] = over_s = begun_s + service_ms[server.name] / 1000
        ends.add(server, over_s)
        served.append(Served(arrived_s, server.name, begun_s, over_s))
    return tuple(served)


class _Ends:
    """What connections still have before them: to close, then to be forgotten."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, bool, RealServer]] = []
        self._count = 0

    def add(self, server: RealServer, over_s: float) -> None:
        server.active += 1
        self._push(over_s, server, closed=False)

    def pass_until(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            at_s, _, closed, server = heapq.heappop(self._due)
            if closed:
                server.inactive -= 1
            else:
                server.active -= 1
                server.inactive += 1
                self._push(at_s + CLOSED_S, server, closed=True)

    def _push(self, at_s: float, server: RealServer, *, closed: bool) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, closed, server))
