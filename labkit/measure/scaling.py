"""What `scaling` measured: a row for each mode and number of Services, and the lines through them.

A file of it is JSON lines: the first has what was asked and where it ran, the others are rows. The lines are
not in the file: they are computed from the rows. Its JSON Schema is published as scaling.schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from labkit import __version__
from labkit.errors import RequestError
from labkit.measure.records import GuestFacts, Quantile  # noqa: TC001  see above
from labkit.measure.results import DIALECT, write_text
from labkit.measure.schema import decode, encode, json_schema
from labkit.measure.slope import Line, fit_line

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
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


@dataclass(frozen=True, slots=True)
class ScalingResult:
    """All rows of a run; `failures` say which could not be measured, and why."""

    plan: ScalingPlan
    rows: tuple[ScalingRow, ...]
    failures: tuple[str, ...] = field(default=())

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


def write_scaling(result: ScalingResult, path: Path) -> None:
    """Write a result as JSON lines, whole or not at all. Raises RequestError where it cannot be written."""
    head = {"schema": FORMAT, "plan": encode(result.plan), "failures": list(result.failures)}
    lines = (json.dumps(one, allow_nan=False) for one in (head, *map(encode, result.rows)))
    write_text(path, "".join(line + "\n" for line in lines))


def read_scaling(path: Path) -> ScalingResult:
    """Return the result that `write_scaling` wrote. Raises RequestError for anything else, with its line."""
    try:
        head, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise _no_result(path, str(error)) from error
    if not isinstance(head, dict) or head.get("schema") != FORMAT:
        raise _no_result(path, f"it does not begin with the schema {FORMAT}")
    return ScalingResult(
        decode(ScalingPlan, head.get("plan"), f"{path.name}:1"),
        tuple(decode(ScalingRow, row, f"{path.name}:{number}") for number, row in enumerate(rows, 2)),
        decode(tuple[str, ...], head.get("failures"), f"{path.name}:1"),
    )


def scaling_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line: the first one, or a row; published as scaling.schema.json."""
    head = {
        "type": "object",
        "properties": {
            "schema": {"const": FORMAT},
            "plan": json_schema(ScalingPlan),
            "failures": json_schema(tuple[str, ...]),
        },
        "required": ["schema", "plan", "failures"],
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": "one line of a result of scaling",
        "anyOf": [head, json_schema(ScalingRow)],
    }


def _no_result(path: Path, why: str) -> RequestError:
    return RequestError(
        f"{path.name} holds no result of scaling: {why}", where=str(path), todo="measure it again"
    )
