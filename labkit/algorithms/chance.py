"""Schedulers that draw lots: kube-proxy's random choice, and IPVS's twos."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from labkit.algorithms.servers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.algorithms.servers import Connection, RealServer


@dataclass(slots=True)
class RandomChoice(Scheduler):
    """What iptables and nftables mode do: every endpoint with the same chance; there are no weights.

    iptables mode asks rule after rule, the k-th of n with probability 1/(n - k + 1); nftables mode draws
    one number.
    """

    name: ClassVar[str] = "random"
    lots: random.Random = field(default_factory=lambda: random.Random(1))

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return any server."""
        return self.lots.choice(servers) if servers else None


@dataclass(slots=True)
class PowerOfTwo(Scheduler):
    """twos: two servers drawn by weight, the less loaded of the two taken (Mitzenmacher et al.)."""

    name: ClassVar[str] = "twos"
    lots: random.Random = field(default_factory=lambda: random.Random(1))

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the less loaded of two servers that are drawn; the first one where they are equal."""
        chances = drawing_chances(servers)
        if not chances:
            return None
        one, other = self.lots.choices(list(chances), [float(chance) for chance in chances.values()], k=2)
        return other if other.load < one.load else one


def drawing_chances(servers: Sequence[RealServer]) -> dict[RealServer, Fraction]:
    """Return how likely twos is to draw each server: as its weight, but the list's first one counts 1 more.

    The kernel draws a number from 0 to the weights' sum inclusive, and both 0 and 1 fall to the first.
    """
    taking = [server for server in servers if server.takes_connections]
    whole = sum(server.weight for server in taking) + 1
    return {server: Fraction(server.weight + (place == 0), whole) for place, server in enumerate(taking)}


def choice_chances(servers: Sequence[RealServer]) -> Mapping[RealServer, Fraction]:
    """Return how likely twos is to choose each server, with the connections that they have now."""
    drawn = drawing_chances(servers)
    chosen = dict.fromkeys(drawn, Fraction(0))
    for one, chance in drawn.items():
        for other, other_chance in drawn.items():
            chosen[other if other.load < one.load else one] += chance * other_chance
    return chosen
