"""Programming: how long kube-proxy's work takes with few Services and with many, whole and for one change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.panels import Key, Line, Panel, Reading, draw_panels
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table
from labkit.measure.scaling import ScalingResult, join_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.measure.scaling import ScalingRow

TITLE = "Programming a node: all Services, and one endpoint of one Service"


def show_programming(results: Sequence[ScalingResult] | ScalingResult) -> Chart:
    """Return the chart of programming times in ms, for each mode's fewest and most Services.

    From nothing, and the partial syncs after one endpoint of one Service went and came back. The table has
    every size. Raises RequestError where results do not belong together.
    """
    result = results if isinstance(results, ScalingResult) else join_results(results)
    rows = [row for mode in result.plan.modes for row in _ends(result.of_mode(mode))]
    panels = (
        Panel("all Services, ms", tuple(_reading(row.program_s) for row in rows)),
        Panel("one endpoint less, ms", tuple(_reading(row.remove_s) for row in rows)),
        Panel("one more, ms", tuple(_reading(row.add_s) for row in rows)),
    )
    lines = [Line(f"{row.mode}, {row.services:,}", row.mode.partition("-")[0]) for row in rows]
    return Chart(draw_panels(TITLE, lines, panels, Key()), _table(result), _alt(result))


def _ends(rows: Sequence[ScalingRow]) -> Sequence[ScalingRow]:
    return rows if len(rows) < 2 else (rows[0], rows[-1])


def _reading(seconds: float) -> Reading:
    return Reading(1000 * seconds, _ms(seconds))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f}"


def _table(result: ScalingResult) -> Table:
    columns = (
        Column("mode", "left"),
        Column("Services"),
        Column("all ms"),
        Column("one endpoint less ms"),
        Column("one more ms"),
    )
    rows = tuple(
        (mode, f"{row.services:,}", _ms(row.program_s), _ms(row.remove_s), _ms(row.add_s))
        for mode in result.plan.modes
        for row in result.of_mode(mode)
    )
    return Table(TITLE, columns, rows, names=2)


def _alt(result: ScalingResult) -> str:
    parts = []
    for mode in result.plan.modes:
        if rows := result.of_mode(mode):
            last = rows[-1]
            parts.append(
                f"{mode} {_ms(last.program_s)} ms for all of {last.services:,} Services, "
                f"{_ms(last.remove_s)} ms for one endpoint less"
            )
    return f"Programming a node: {'; '.join(parts)}."
