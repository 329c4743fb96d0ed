"""A sweep at a glance: one line a combination, the median and the range over its seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart import facts
from labkit.chart.table import Column, Table
from labkit.sweeping.table import by_combination, over_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.sweeping.rows import SweepRow

AXES = ("lab", "workload", "shaping", "outage", "algorithm")
QUANTILES = ("p50", "p99")


def sweep_table(rows: Sequence[SweepRow]) -> Table:
    """Return the table of all combinations, in the order of `rows`; an axis with one value has no column.

    Times are the response's, the median over the seeds, in brackets least and most.
    """
    groups = by_combination(rows)
    varying = [
        at for at, axis in enumerate(AXES) if axis == "algorithm" or len({key[at] for key in groups}) > 1
    ]
    medians = [spread[0] for group in groups.values() if (spread := over_seeds(group, "p50"))]
    unit = facts.unit_for(medians)
    columns = (
        *(Column(AXES[at], "left") for at in varying),
        Column("seeds"),
        Column("answered"),
        *(Column(f"response {quantile}, {unit.name}") for quantile in QUANTILES),
        Column("note", "left"),
    )
    lines = tuple((*(key[at] for at in varying), *_cells(group, unit)) for key, group in groups.items())
    return Table(
        "The sweep, by combination (in brackets: least and most of its seeds)", columns, lines, len(varying)
    )


def _cells(group: Sequence[SweepRow], unit: facts.Unit) -> tuple[str, ...]:
    answered = sum(row.run.answered for row in group)
    connections = sum(row.run.connections for row in group)
    times = tuple(_spread(group, quantile, unit) for quantile in QUANTILES)
    overloaded = sum(row.run.overloaded for row in group)
    note = f"overloaded ({overloaded} of {len(group)})" if overloaded else ""
    return (str(len(group)), f"{answered}/{connections}", *times, note)


def _spread(group: Sequence[SweepRow], quantile: str, unit: facts.Unit) -> str:
    found = over_seeds(group, quantile)
    if found is None:
        return "-"
    middle, least, most = map(unit.number, found)
    return middle if len(group) == 1 else f"{middle} ({least} to {most})"
