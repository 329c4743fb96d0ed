"""Latency: how long connecting, answering and forwarding took under each algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, Literal

from labkit.chart import facts, style
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table
from labkit.errors import RequestError
from labkit.measure.records import Quantile, RunResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Measure = Literal["connect", "response", "forward"]
MEASURES: Mapping[Measure, str] = {
    "connect": "Connect time",
    "response": "Response time",
    "forward": "Forwarding delay",
}
QUANTILES = ("p05", "p50", "p95", "p99")
SYMBOLS = {"p05": "line-ns", "p50": "circle", "p95": "diamond", "p99": "circle-open"}
SIZES = {"p05": 11, "p50": 10, "p95": 9, "p99": 7}
LOG_FROM_RATIO = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the chart: a run, or the heading of a Service (no run) where there are several."""

    label: str
    run: RunResult | None


def show_latency(runs: Sequence[RunResult] | RunResult, measure: Measure = "connect") -> Chart:
    """Return the chart of one measure: for each run p05 to p99, the median, and their 95 % intervals.

    `measure` is "connect" (connect() to established), "response" (request to whole answer) or "forward"
    (delay inside the node). The axis is logarithmic if the values span more than a factor of 30. Overloaded
    runs are listed in the table and the sentence but not drawn: their latency only says how long the overload
    lasted. Several Services become groups of lines. Raises RequestError if `runs` is empty, mixes real and
    virtual time, or `measure` is none of the three.
    """
    group = (runs,) if isinstance(runs, RunResult) else tuple(runs)
    clock = facts.same_clock(group)
    if measure not in MEASURES:
        raise RequestError(
            f"there is no latency measure {measure!r}", todo=f"use one of: {', '.join(MEASURES)}"
        )
    services = tuple(facts.by_service(group))
    place = services[0] if len(services) == 1 else f"{len(services)} Service ports"
    title = f"{MEASURES[measure]}: {place}" + (", virtual time" if clock == "virtual" else "")
    unit = facts.unit_for(run.latency_us[measure]["p50"].value for run in group if _drawn(run, measure))
    figure = _figure(title, _rows(group, measure), measure, unit)
    return Chart(figure, _table(title, group, measure, unit), _alt(title, group, measure, unit))


def _measured(run: RunResult, measure: Measure) -> bool:
    return "p50" in run.latency_us.get(measure, {})


def _drawn(run: RunResult, measure: Measure) -> bool:
    return _measured(run, measure) and not run.overloaded


def _rows(runs: Sequence[RunResult], measure: Measure) -> tuple[Row, ...]:
    groups = facts.by_service(runs)
    rows: list[Row] = []
    for service, group in groups.items():
        lines = [
            Row(name, run)
            for name, run in zip(facts.run_names(group), group, strict=True)
            if _drawn(run, measure)
        ]
        if len(groups) > 1 and lines:
            rows.append(Row(service, None))
        rows += lines
    return tuple(rows)


def _figure(title: str, rows: Sequence[Row], measure: Measure, unit: facts.Unit) -> dict[str, Any]:
    values = [
        bound / unit.us
        for row in rows
        if row.run is not None
        for quantile in row.run.latency_us[measure].values()
        for bound in (quantile.low, quantile.value, quantile.high)
    ]
    layout = style.layout(title, max(1, len(rows))) | {
        "yaxis": style.row_axis([row.label if row.run else "" for row in rows]),
        "annotations": [_heading(at, row.label) for at, row in enumerate(rows) if row.run is None],
        "xaxis": _axis(unit, values),
    }
    data: list[dict[str, Any]] = []
    for mode in dict.fromkeys(row.run.mode for row in rows if row.run is not None):
        lines = [(at, row.run) for at, row in enumerate(rows) if row.run is not None and row.run.mode == mode]
        data.append(_range_lines(lines, measure, unit, mode))
        data += [_marks(lines, measure, unit, quantile) for quantile in QUANTILES]
    return {"data": [*_key_to_marks(), *(trace for trace in data if trace["x"])], "layout": layout}


def _key_to_marks() -> list[dict[str, Any]]:
    # Grey: colour stands for the mode, shape for the quantile. Without points only the key is drawn.
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "p05 to p99",
        "showlegend": True,
        "x": [None],
        "y": [None],
    }
    line |= {"line": {"width": 5, "color": style.OTHER_COLOUR}, "opacity": 0.5}
    marks = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "p50 (median)" if name == "p50" else name,
            "showlegend": True,
            "x": [None],
            "y": [None],
            "marker": _marker(name, style.OTHER_COLOUR),
        }
        for name in QUANTILES
    ]
    return [line, *marks]


def _marker(name: str, colour: str) -> dict[str, Any]:
    width = 2 if name in {"p05", "p99"} else 0
    return {
        "symbol": SYMBOLS[name],
        "size": SIZES[name],
        "color": colour,
        "line": {"width": width, "color": colour},
    }


def _heading(at: int, service: str) -> dict[str, Any]:
    return {
        "text": f"<b>{service}</b>",
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": "y",
        "y": at,
        "showarrow": False,
        "bgcolor": style.PAPER,
    }


def _axis(unit: facts.Unit, values: Sequence[float]) -> dict[str, Any]:
    positive = [value for value in values if value > 0] or [1.0]
    if max(positive) / min(positive) < LOG_FROM_RATIO:
        ticks = style.even_ticks(max(positive))
        return style.value_axis(unit.name, ticks) | {"range": [0, max(positive) * 1.05]}
    low, high = log10(min(positive)) - 0.05, log10(max(positive)) + 0.05
    decades = range(floor(low), ceil(high) + 1)
    parts = (1, 2, 5) if high - low < 2.2 else (1,)
    ticks = {part * 10.0**power: f"{part * 10.0**power:g}" for power in decades for part in parts}
    inside = {at: text for at, text in ticks.items() if low <= log10(at) <= high}
    return style.value_axis(f"{unit.name}, logarithmic", inside) | {"type": "log", "range": [low, high]}


def _range_lines(
    lines: Sequence[tuple[int, RunResult]], measure: Measure, unit: facts.Unit, mode: str
) -> dict[str, Any]:
    # One trace of many segments: None lifts the pen.
    x: list[float | None] = []
    y: list[float | None] = []
    for at, run in lines:
        present = [
            run.latency_us[measure][name].value / unit.us
            for name in QUANTILES
            if name in run.latency_us[measure]
        ]
        x += [min(present), max(present), None]
        y += [at, at, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": mode,
        "showlegend": False,
        "x": x,
        "y": y,
        "line": {"width": 5, "color": style.mode_colour(mode)},
        "opacity": 0.35,
        "hoverinfo": "skip",
    }


def _marks(
    lines: Sequence[tuple[int, RunResult]], measure: Measure, unit: facts.Unit, name: str
) -> dict[str, Any]:
    found = [(at, run, run.latency_us[measure][name]) for at, run in lines if name in run.latency_us[measure]]
    colour = style.mode_colour(found[0][1].mode) if found else style.OTHER_COLOUR
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "showlegend": False,
        "x": [quantile.value / unit.us for _, _, quantile in found],
        "y": [at for at, _, _ in found],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [(quantile.high - quantile.value) / unit.us for _, _, quantile in found],
            "arrayminus": [(quantile.value - quantile.low) / unit.us for _, _, quantile in found],
            "thickness": 1.2,
            "width": 3,
            "color": colour,
        },
        "marker": _marker(name, colour),
        "cliponaxis": False,
        "hovertext": [_hover(run, name, quantile, unit) for _, run, quantile in found],
        "hoverinfo": "text",
    }


def _hover(run: RunResult, name: str, quantile: Quantile, unit: facts.Unit) -> str:
    interval = f"95 % interval {unit.number(quantile.low)} to {unit.text(quantile.high)}"
    head = f"<b>{facts.run_name(run)}</b>, {facts.service_name(run)}"
    return f"{head}<br>{name} {unit.text(quantile.value)}<br>{interval}"


def _table(title: str, runs: Sequence[RunResult], measure: Measure, unit: facts.Unit) -> Table:
    several = len(facts.by_service(runs)) > 1
    columns = (
        *((Column("Service", "left"),) if several else ()),
        Column("algorithm", "left"),
        *(Column(f"{name} {unit.name}") for name in QUANTILES),
        Column("note", "left"),
    )
    rows = []
    for name, run in zip(facts.run_names(runs), runs, strict=True):
        cells = tuple(_cell(run.latency_us.get(measure, {}).get(quantile), unit) for quantile in QUANTILES)
        rows.append((*((facts.service_name(run),) if several else ()), name, *cells, _note(run, measure)))
    caption = f"{title}, in {unit.name} (in brackets: 95 % interval)"
    return Table(caption, columns, tuple(rows), names=2 if several else 1)


def _cell(quantile: Quantile | None, unit: facts.Unit) -> str:
    if quantile is None:
        return "-"
    return f"{unit.number(quantile.value)} ({unit.number(quantile.low)} to {unit.number(quantile.high)})"


def _note(run: RunResult, measure: Measure) -> str:
    if not _measured(run, measure):
        return "not measured"
    return "overloaded: not drawn" if run.overloaded else ""


def _alt(title: str, runs: Sequence[RunResult], measure: Measure, unit: facts.Unit) -> str:
    several = len(facts.by_service(runs)) > 1
    named = [
        (f"{facts.service_name(run)} under {name}" if several else name, run)
        for name, run in zip(facts.run_names(runs), runs, strict=True)
    ]
    drawn = sorted(
        ((name, run.latency_us[measure]) for name, run in named if _drawn(run, measure)),
        key=lambda pair: pair[1]["p50"].value,
    )
    parts = [_fastest(drawn, unit)] if drawn else ["nothing to draw"]
    for note, names in _left_out(named, measure).items():
        parts.append(f"{note}: {facts.listing(names)}")
    return f"{title}, {facts.counted(len(runs), 'run')}: {'; '.join(parts)}."


def _fastest(drawn: Sequence[tuple[str, Mapping[str, Quantile]]], unit: facts.Unit) -> str:
    (first, low), (last, high) = drawn[0], drawn[-1]
    if len(drawn) == 1:
        tail = f", p95 {unit.text(low['p95'].value)}" if "p95" in low else ""
        return f"{first} has a median of {unit.text(low['p50'].value)}{tail}"
    fastest, slowest = (unit.text(quantiles["p50"].value) for quantiles in (low, high))
    text = f"lowest median {first} ({fastest}), highest {last} ({slowest})"
    if low["p50"].high >= high["p50"].low:
        return f"{text}, but their 95 % intervals overlap"
    return text


def _left_out(named: Sequence[tuple[str, RunResult]], measure: Measure) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for name, run in named:
        if note := _note(run, measure):
            notes.setdefault(
                "overloaded, so listed but not drawn" if run.overloaded and _measured(run, measure) else note,
                [],
            ).append(name)
    return notes
