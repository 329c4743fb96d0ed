"""What `scaling` measured: a row for each mode and number of Services, and the lines through them.

The lines are not in the result's file: they are computed from the rows. Its JSON Schema is published as
scaling.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from labkit import __version__
from labkit.errors import RequestError
from labkit.measure.records import GuestFacts, Quantile  # noqa: TC001  see above
from labkit.measure.rowfile import ExperimentResult
from labkit.measure.slope import Line, fit_line

PlaceName = Annotated[str, ("first", "middle", "last")]
DelayName = Annotated[str, ("min", "p05", "p50")]
ScalingMode = Literal["iptables-legacy", "iptables-nft", "nftables", "ipvs"]
SCALING_MODES: tuple[ScalingMode, ...] = ("iptables-legacy", "iptables-nft", "nftables", "ipvs")


@dataclass(frozen=True, slots=True)
class MemoryPeaks:
    """Memory in MB: the most that the lab's process and any of its commands held, and all that was in use.

    `used` is the guest's memory that is not available any more, after programming, the kernel's rules
    included.
    """

    process: float
    command: float
    used: float
    total: float


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """One mode with so many Services, in a guest of its own.

    `first_packet_us`: delay of a connection's first packet, from the node's ingress to its pod, by the
    kernel's stamps, for the first, the middle and the last Service of the cluster. `program_s` is a sync from
    nothing; `remove_s` and `add_s` are the partial syncs after one endpoint of the last Service went and came
    back. `lost` counts first packets that no tap stamped.
    """

    mode: ScalingMode
    services: int
    first_packet_us: Mapping[PlaceName, Mapping[DelayName, Quantile]]
    program_s: float
    remove_s: float
    add_s: float
    lost: int
    memory_mb: MemoryPeaks
    guest: GuestFacts
    load_1m: float


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """What was asked: `flows` connections to each of three Services, each with `endpoints` endpoints."""

    sizes: tuple[int, ...]
    modes: tuple[ScalingMode, ...]
    flows: int
    endpoints: int
    seed: int
    memory_mb: int
    generator: str = "labkit.spec.many.plan_many_services"
    labkit: str = __version__


class ScalingResult(ExperimentResult[ScalingPlan, ScalingRow]):
    """All rows of a run; `failures` say which could not be measured, and why."""

    name: ClassVar[str] = "scaling"
    plan_kind: ClassVar[type[ScalingPlan]] = ScalingPlan
    row_kind: ClassVar[type[ScalingRow]] = ScalingRow

    def of_mode(self, mode: str) -> tuple[ScalingRow, ...]:
        """Return a mode's rows, by the number of Services."""
        return tuple(sorted((row for row in self.rows if row.mode == mode), key=lambda row: row.services))

    def fits(self, place: str = "last", delay: str = "p05") -> Mapping[str, Line]:
        """Return for each mode with three sizes or more the line through its first-packet delays.

        Its slope is in nanoseconds for each Service, its intercept in nanoseconds.
        """
        found: dict[str, Line] = {}
        for mode in self.plan.modes:
            rows = self.of_mode(mode)
            if len(rows) >= 3:
                points = [(row.services, row.first_packet_us[place][delay].value * 1000) for row in rows]
                found[mode] = fit_line(points)
        return found


def join_results(results: Sequence[ScalingResult]) -> ScalingResult:
    """Return all rows of several results as one; of equal modes and sizes the later result's row counts.

    Raises RequestError where there is none, or where they differ in flows or endpoints.
    """
    if len({(one.plan.flows, one.plan.endpoints) for one in results}) != 1:
        raise RequestError(
            "these results of scaling do not belong together" if results else "there is no result to show",
            todo="measure all of them with the same flows= and endpoints=",
        )
    rows = {(row.mode, row.services): row for one in results for row in one.rows}
    plan = replace(
        results[0].plan,
        sizes=tuple(sorted({size for one in results for size in one.plan.sizes})),
        modes=tuple(mode for mode in SCALING_MODES if any(mode in one.plan.modes for one in results)),
    )
    failures = tuple(failure for one in results for failure in one.failures)
    return ScalingResult(plan, tuple(rows.values()), failures)
