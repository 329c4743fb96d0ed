"""Consistency: how many flows change their pod when one leaves, beside what theory says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart import facts
from labkit.chart.panels import Key, Line, Panel, Reading, draw_panels
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.measure.consistency import ConsistencyResult, ConsistencyRow


def show_consistency(result: ConsistencyResult) -> Chart:
    """Return the chart of flows that moved, in per cent, and of those that were refused meanwhile.

    The mark is theory's share: 1/n where only the flows of the pod that left have to move, else 1 - 1/n.
    """
    plan = result.plan
    title = f"1 of {plan.pods} pods leaves: which of {plan.flows} flows it moves"
    lines = [Line(row.name, row.mode) for row in result.rows]
    panels = (
        Panel("later on another pod, %", tuple(_moved(row) for row in result.rows)),
        Panel("of them without need, %", tuple(_needless(row) for row in result.rows)),
        Panel("no answer while IPVS drains, %", tuple(_unanswered(row) for row in result.rows)),
    )
    drawing = draw_panels(title, lines, panels, Key(expected="theory"))
    return Chart(drawing, _table(title, result.rows), _alt(result))


def _percent(count: float, row: ConsistencyRow) -> float:
    return 100 * count / row.flows


def _moved(row: ConsistencyRow) -> Reading:
    moved = _percent(row.moved, row)
    return Reading(moved, f"{moved:.1f}", expected=100 * row.expected_share)


def _needless(row: ConsistencyRow) -> Reading:
    share = _percent(row.moved - row.on_left, row)
    return Reading(share, f"{share:.1f}")


def _unanswered(row: ConsistencyRow) -> Reading:
    share = _percent(row.unanswered, row)
    return Reading(share, f"{share:.1f}")


def _table(title: str, rows: Sequence[ConsistencyRow]) -> Table:
    columns = (
        Column("algorithm", "left"),
        Column("on the pod that left"),
        Column("moved"),
        Column("by theory"),
        Column("by the twin"),
        Column("no answer while draining"),
        Column("none later"),
    )
    lines = tuple(
        (
            row.name,
            str(row.on_left),
            str(row.moved),
            f"{row.expected_share * row.flows:.0f}",
            "-" if row.twin_moved is None else str(row.twin_moved),
            str(row.unanswered),
            str(row.lost),
        )
        for row in rows
    )
    return Table(title, columns, lines)


def _alt(result: ConsistencyResult) -> str:
    ordered = sorted(result.rows, key=lambda row: row.moved)
    least, most = ordered[0], ordered[-1]
    refused = [row.name for row in result.rows if row.unanswered]
    tail = (
        f"; while its connections drain, flows of {facts.listing(refused)} get no answer" if refused else ""
    )
    return (
        f"When 1 of {result.plan.pods} pods leaves, {least.name} moves "
        f"{_percent(least.moved, least):.1f} % of {least.flows} flows "
        f"(theory: {100 * least.expected_share:.0f} %), "
        f"{most.name} {_percent(most.moved, most):.1f} % "
        f"({100 * most.expected_share:.0f} %){tail}."
    )
