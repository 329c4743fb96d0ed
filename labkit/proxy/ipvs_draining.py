"""Graceful termination: a real server with connections gets weight 0, and goes when they have ended. Pure.

kube-proxy (v1.30, pkg/proxy/ipvs/graceful_termination.go) does so for TCP only: UDP and SCTP real servers go
at once. A waiting one is asked for its connections again every minute; one that is wanted again meanwhile is
removed and added anew. With its virtual server everything behind it goes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from labkit.proxy.ipvs_messages import Change, Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.proxy.ipvs import RealServer, VirtualServer
    from labkit.proxy.ipvs_messages import CountedReal

CHECK_INTERVAL_S = 60
Key = tuple[str, str]
"""A virtual server's key and a real server's name."""
_NONE: Mapping[Key, Change] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Draining:
    """Changes to make now, and the removals that wait for connections to end."""

    changes: tuple[Change, ...] = ()
    waiting: Mapping[Key, Change] = field(default_factory=lambda: _NONE)


def plan_draining(
    changes: Iterable[Change], waiting: Mapping[Key, Change], connections: Mapping[Key, int]
) -> Draining:
    """Return `changes` with those removals put off whose real servers still have `connections`."""
    left = dict(waiting)
    made: list[Change] = []
    for change in changes:
        if not left and change.command is not Command.DEL_DEST:
            made.append(change)
            continue
        if change.real is None:
            if change.command is Command.DEL_SERVICE:
                left = {key: one for key, one in left.items() if key[0] != change.server.key}
            made.append(change)
            continue
        key = (change.server.key, change.real.name)
        if change.command is Command.DEL_DEST and _drains(change.server) and connections.get(key):
            left[key] = change
            made.extend(_closed(change.server, change.real))
        else:
            if key in left:  # wanted again
                made.append(left.pop(key))
            made.append(change)
    return Draining(tuple(made), left)


def plan_removals(waiting: Mapping[Key, Change], held: Mapping[str, Iterable[CountedReal]]) -> Draining:
    """Return the removals whose time has come; `held` are the real servers by virtual server as they are."""
    busy = connections_of(held)
    ended = tuple(change for key, change in waiting.items() if busy.get(key) == 0)
    return Draining(ended, {key: change for key, change in waiting.items() if busy.get(key)})


def connections_of(held: Mapping[str, Iterable[CountedReal]]) -> dict[Key, int]:
    """Return how many connections, active and inactive, each real server has."""
    return {(key, one.real.name): one.active + one.inactive for key, reals in held.items() for one in reals}


def _drains(server: VirtualServer) -> bool:
    return server.protocol == "TCP"


def _closed(server: VirtualServer, real: RealServer) -> Iterable[Change]:
    if real.weight:
        yield Change(Command.SET_DEST, server, replace(real, weight=0))
