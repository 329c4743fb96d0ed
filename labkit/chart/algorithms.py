"""Algorithms: response times under each algorithm, a column for each kind of traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart import facts
from labkit.chart.panels import Key, Line, Panel, Reading, draw_panels
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from labkit.measure.algorithms import AlgorithmsResult, AlgorithmsRow

QUANTILES = ("p05", "p50", "p95", "p99")


def show_algorithms(result: AlgorithmsResult) -> Chart:
    """Return the chart of response times, p05 to p99; overloaded runs are listed and not drawn."""
    rows = {(row.traffic, row.name): row for row in result.rows}
    names = tuple(dict.fromkeys(row.name for row in result.rows))
    kinds = tuple(kind for kind in result.plan.traffic if any(key[0] == kind for key in rows))
    unit = facts.unit_for(row.run.latency_us["response"]["p50"].value for row in result.rows if _drawn(row))
    title = f"Response time in {unit.name}, the number is p99, virtual time"
    lines = [Line(name, name.partition(" ")[0]) for name in names]
    panels = [
        Panel(kind, tuple(_reading(rows.get((kind, name)), unit) for name in names), "range")
        for kind in kinds
    ]
    key = Key(range="p05 to p99", point="p50 (median)", end="p99")
    return Chart(draw_panels(title, lines, panels, key), _table(title, result, unit), _alt(result, unit))


def _drawn(row: AlgorithmsRow) -> bool:
    return "p50" in row.run.latency_us.get("response", {}) and not row.run.overloaded


def _reading(row: AlgorithmsRow | None, unit: facts.Unit) -> Reading | None:
    if row is None or not _drawn(row):
        return None
    p05, p50, _, p99 = (row.run.latency_us["response"][name].value / unit.us for name in QUANTILES)
    return Reading(p50, unit.number(p99 * unit.us), low=p05, high=p99)


def _table(title: str, result: AlgorithmsResult, unit: facts.Unit) -> Table:
    columns = (
        Column("traffic", "left"),
        Column("algorithm", "left"),
        *(Column(f"{name} {unit.name}") for name in QUANTILES),
        Column("per pod"),
        Column("note", "left"),
    )
    lines = []
    for row in result.rows:
        found = row.run.latency_us.get("response", {})
        times = (unit.number(found[name].value) if name in found else "-" for name in QUANTILES)
        pods = facts.pods_of([row.run])
        counts = " / ".join(str(row.run.answers.get(pod, 0)) for pod in pods)
        lines.append((row.traffic, row.name, *times, counts, "overloaded" if row.run.overloaded else ""))
    return Table(title, columns, tuple(lines), names=2)


def _alt(result: AlgorithmsResult, unit: facts.Unit) -> str:
    parts = []
    for kind in result.plan.traffic:
        drawn = [row for row in result.rows if row.traffic == kind and _drawn(row)]
        ordered = sorted(drawn, key=lambda row: row.run.latency_us["response"]["p99"].value)
        if ordered:
            first, last = ordered[0], ordered[-1]
            times = [unit.text(row.run.latency_us["response"]["p99"].value) for row in (first, last)]
            parts.append(f"{kind}: lowest {first.name} ({times[0]}), highest {last.name} ({times[1]})")
    return f"Response time, p99, by kind of traffic. {'; '.join(parts)}."
