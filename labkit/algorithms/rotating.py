"""Schedulers that take turns: rr and wrr. They look at no connection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from labkit.algorithms.servers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.algorithms.servers import Connection, RealServer

_HEAD = -1  # the place before the first server


class RoundRobin(Scheduler):
    """rr: the next server that takes connections, in the list's order, and around again."""

    name: ClassVar[str] = "rr"

    def __init__(self) -> None:
        self._order: Sequence[RealServer] = ()
        self._last: RealServer | None = None

    def note_change(self, servers: Sequence[RealServer]) -> None:
        """Keep the place in the list: if the last chosen server goes, it is the one before it."""
        before = list(self._order)
        while self._last is not None and self._last not in servers:
            place = before.index(self._last)
            self._last = before[place - 1] if place else None
        self._order = servers

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the next server after the last one chosen."""
        start = servers.index(self._last) + 1 if self._last is not None else 0
        for server in (*servers[start:], *servers[:start]):
            if server.takes_connections:
                self._last = server
                return server
        return None


class WeightedRoundRobin(Scheduler):
    """wrr: rounds with a falling bar; in each, the servers whose weight reaches the bar take one connection.

    The bar starts at the greatest weight and falls by the weights' greatest common divisor, so that a round
    of all bars gives each server connections in proportion to its weight, spread and not in blocks.
    """

    name: ClassVar[str] = "wrr"

    def __init__(self) -> None:
        self._place = _HEAD
        self._bar = self._top = 0
        self._step = 1

    def note_change(self, servers: Sequence[RealServer]) -> None:
        """Start from the list's head; the bar stays where it was as nearly as the new steps allow."""
        weights = [server.weight for server in servers if server.takes_connections]
        self._place = _HEAD
        self._step = math.gcd(*weights) or 1
        self._top = max(weights, default=0) - (self._step - 1)
        if self._bar > self._top or self._bar == 0:
            self._bar = self._top
        elif self._step > 1:
            self._bar = self._bar // self._step * self._step + 1

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the next server in the list that reaches the bar, which falls at the list's end."""
        if self._top <= 0:
            return None
        while True:
            for place in range(self._place + 1, len(servers)):
                if servers[place].weight >= self._bar:
                    self._place = place
                    return servers[place]
            self._place = _HEAD
            self._bar -= self._step
            if self._bar <= 0:
                self._bar = self._top
