"""Schedulers that remember the server of a destination: lblc and lblcr, made for caches behind a proxy.

A virtual server of kube-proxy has one destination, so one entry: lblc sends everything to one server until
that is overloaded. What is forgotten after a day without use (sysctls lblc_expiration, lblcr_expiration) is
not modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from labkit.algorithms.counting import least_loaded
from labkit.algorithms.servers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.algorithms.servers import Connection, RealServer


class LocalityLeastConnection(Scheduler):
    """lblc: the destination's server of before; wlc's choice where it has none, or that one is overloaded."""

    name: ClassVar[str] = "lblc"

    def __init__(self) -> None:
        self._remembered: dict[str, RealServer] = {}

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the destination's server, and remember a new one."""
        server = self._remembered.get(connection.destination)
        if server and server in servers and server.takes_connections and not is_overloaded(server, servers):
            return server
        chosen = least_loaded(servers)
        if chosen is not None:
            self._remembered[connection.destination] = chosen
        return chosen


class ReplicatedLocality(Scheduler):
    """lblcr: the least loaded of the destination's servers; where it is overloaded, one more joins them."""

    name: ClassVar[str] = "lblcr"

    def __init__(self) -> None:
        self._remembered: dict[str, tuple[RealServer, ...]] = {}

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the least loaded of the destination's servers, and remember a new one."""
        group = self._remembered.get(connection.destination, ())
        server = least_loaded([one for one in group if one in servers])
        if server is not None and not is_overloaded(server, servers):
            return server
        chosen = least_loaded(servers)
        if chosen is not None and chosen not in group:
            self._remembered[connection.destination] = (chosen, *group)
        return chosen


def is_overloaded(server: RealServer, servers: Sequence[RealServer]) -> bool:
    """Return whether a server has more active connections than its weight, another less than half of its."""
    return server.active > server.weight and any(2 * one.active < one.weight for one in servers)
