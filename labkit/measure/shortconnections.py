"""What `short_connections` measured: what a connection costs that is used once, and what stays of it.

Its JSON Schema is published as short_connections.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass
from typing import ClassVar

from labkit import __version__
from labkit.measure.records import (  # noqa: TC001  see above
    GuestFacts,
    LatencyName,
    Quantile,
    QuantileName,
)
from labkit.measure.rowfile import ExperimentResult
from labkit.proxy.printing import KUBE_PROXY


@dataclass(frozen=True, slots=True)
class ShortConnectionsPlan:
    """What was asked: `connections` one after the other, then `reused` flows that come a second time."""

    modes: tuple[str, ...]
    connections: int
    reused: int
    seed: int
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class Held:
    """What the client's node remembers after so many connections: entries of conntrack and of IPVS."""

    connections: int
    conntrack: int
    ipvs: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """Flows that came again at once, from the same address and port, after the pod had closed them.

    `answered` got an answer the second time, `same_pod` from the same pod as before. Times are from connect()
    to the whole answer.
    """

    flows: int
    answered: int
    same_pod: int
    first_us: Mapping[QuantileName, Quantile]
    again_us: Mapping[QuantileName, Quantile]


@dataclass(frozen=True, slots=True)
class ShortConnectionsRow:
    """One mode. `held` begins before the first connection; `errors` counts those that were not answered."""

    mode: str
    algorithm: str
    pods: int
    latency_us: Mapping[LatencyName, Mapping[QuantileName, Quantile]]
    errors: int
    held: tuple[Held, ...]
    conntrack_max: int
    reuse: Reuse
    guest: GuestFacts
    load_1m: float

    @property
    def name(self) -> str:
        """The algorithm as charts call it: "ipvs rr"."""
        return f"{self.mode} {self.algorithm}"

    def entries_each(self) -> tuple[float, float]:
        """Return how many entries of conntrack and of IPVS a connection left behind."""
        first, last = self.held[0], self.held[-1]
        count = last.connections - first.connections
        return (last.conntrack - first.conntrack) / count, (last.ipvs - first.ipvs) / count


class ShortConnectionsResult(ExperimentResult[ShortConnectionsPlan, ShortConnectionsRow]):
    """A row for each mode."""

    name: ClassVar[str] = "short_connections"
    plan_kind: ClassVar[type[ShortConnectionsPlan]] = ShortConnectionsPlan
    row_kind: ClassVar[type[ShortConnectionsRow]] = ShortConnectionsRow
