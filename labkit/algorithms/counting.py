"""Schedulers that count connections: lc, wlc, sed, nq, ovf; and fo, which counts none.

Where servers are equal the first in the list is chosen: the one added last.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from labkit.algorithms.servers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.algorithms.servers import Connection, RealServer


class LeastConnection(Scheduler):
    """lc: the server with the least overhead; weights are only asked whether they are 0."""

    name: ClassVar[str] = "lc"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the least busy server."""
        return min(_taking(servers), key=lambda server: server.overhead, default=None)


class WeightedLeastConnection(Scheduler):
    """wlc: the server with the least overhead by its weight."""

    name: ClassVar[str] = "wlc"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server with the least load."""
        return least_loaded(servers)


class ShortestExpectedDelay(Scheduler):
    """sed: the server on which the new connection would wait least: (active + 1) by weight.

    Inactive connections do not count: with UDP, which has no others, the same server is always chosen.
    """

    name: ClassVar[str] = "sed"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server with the shortest expected delay."""
        return min(_taking(servers), key=expected_delay, default=None)


class NeverQueue(Scheduler):
    """nq: the first server without an active connection, whatever its weight; else as sed."""

    name: ClassVar[str] = "nq"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return an idle server, else the one with the shortest expected delay."""
        idle = (server for server in _taking(servers) if server.active == 0)
        return next(idle, None) or min(_taking(servers), key=expected_delay, default=None)


class Failover(Scheduler):
    """fo: the server with the greatest weight takes everything."""

    name: ClassVar[str] = "fo"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server with the greatest weight."""
        return max(_taking(servers), key=lambda server: server.weight, default=None)


class Overflow(Scheduler):
    """ovf: the server with the greatest weight until its active connections exceed the weight, then the next.

    Where all have more than their weight, connections are refused.
    """

    name: ClassVar[str] = "ovf"

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server with the greatest weight of those that are not full."""
        with_room = [server for server in _taking(servers) if server.active <= server.weight]
        return max(with_room, key=lambda server: server.weight, default=None)


def least_loaded(servers: Sequence[RealServer]) -> RealServer | None:
    """Return the server with the least load: what wlc chooses, and lblc and lblcr where they know none."""
    return min(_taking(servers), key=lambda server: server.load, default=None)


def expected_delay(server: RealServer) -> Fraction:
    """Return how long a new connection would wait on a server: (active + 1) by weight."""
    return Fraction(server.active + 1, server.weight)


def _taking(servers: Sequence[RealServer]) -> list[RealServer]:
    return [server for server in servers if server.takes_connections]
