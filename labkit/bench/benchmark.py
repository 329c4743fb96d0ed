"""A benchmark: a name, what is done, who does it, and what is hoped for. Declared by the groups' files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from labkit.guest.run import DEFAULT_MEMORY_MB

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from labkit.bench.row import Better, Row

Measure = Callable[[], float]
Place = Literal["host", "guest"]


@dataclass(frozen=True, slots=True)
class Contenders:
    """Who is measured: each does the work once and returns the figure, in the benchmark's unit.

    A peer that is not on this machine raises CapabilityError; it is named as missing.
    """

    ours: Measure
    limit: Measure | None = None
    peers: Mapping[str, Measure] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Target:
    """What is hoped for of one figure: of `ours` itself, of how many times the limit, or ahead of a peer."""

    figure: Literal["ours", "of_limit", "ahead_of"]
    relation: Literal["<=", ">="]
    bound: float
    peer: str = ""

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.figure, self.peer)))} {self.relation} {self.bound:g}"

    def measured(self, row: Row) -> float | None:
        """Return the figure in `row`, None where it was not measured."""
        figures = {"ours": row.ours, "of_limit": row.of_limit, "ahead_of": row.ahead_of.get(self.peer)}
        return figures[self.figure]

    def holds(self, measured: float) -> bool:
        """Return whether a figure is what is hoped for."""
        return measured <= self.bound if self.relation == "<=" else measured >= self.bound


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A row of `labkit bench`.

    `contenders` makes ready what they need and takes it away again; it is entered where the work is done: on
    the host, or inside one guest for all rounds (`place`). `limit_is` says what the limit does. The first
    `warm_ups` rounds do not count; peers stop after `peer_rounds` (None: they go on to the end). Benchmarks
    that run only `on_request` are to be named.
    """

    name: str
    work: str
    unit: str
    better: Better
    contenders: Callable[[], AbstractContextManager[Contenders]] = field(repr=False)
    limit_is: str = ""
    targets: tuple[Target, ...] = ()
    place: Place = "host"
    rounds: int = 5
    warm_ups: int = 1
    peer_rounds: int | None = None
    memory_mb: int = DEFAULT_MEMORY_MB
    on_request: bool = False
