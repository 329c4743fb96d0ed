"""Panels: one line an algorithm, one column a measurement, each with an axis of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal

from labkit.chart import style

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = 0.035  # between two panels, as a part of the figure's width
TEXT_ROOM = 1.4  # of the longest bar: its number stands behind it
Kind = Literal["bar", "range"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the chart: its name, and the mode whose colour it has."""

    name: str
    mode: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one line has in one panel: a value, the text beside it, and where known more.

    In a panel of ranges `low` and `high` are its ends and `value` is the point within. `expected` is where a
    bar was expected to end.
    """

    value: float
    text: str
    low: float = 0.0
    high: float = 0.0
    expected: float | None = None

    @property
    def reach(self) -> float:
        """How far to the right it goes."""
        return max(self.value, self.high, self.expected or 0.0)


@dataclass(frozen=True, slots=True)
class Panel:
    """One column: `readings` has one for each line, None where there is nothing to draw."""

    title: str
    readings: tuple[Reading | None, ...]
    kind: Kind = "bar"


@dataclass(frozen=True, slots=True)
class Key:
    """What the signs mean: a range's line and its end, the mark of what was expected ("": there is none)."""

    range: str = ""
    end: str = ""
    point: str = ""
    expected: str = ""


def draw_panels(title: str, lines: Sequence[Line], panels: Sequence[Panel], key: Key) -> dict[str, Any]:
    """Return the drawing of `panels` side by side."""
    layout = style.layout(title, len(lines)) | {"yaxis": style.row_axis([line.name for line in lines])}
    data: list[dict[str, Any]] = _key_traces(lines, panels, key)
    for number, panel in enumerate(panels):
        axis = "x" if number == 0 else f"x{number + 1}"
        limit = max([reading.reach for reading in panel.readings if reading] or [1.0]) or 1.0
        layout[axis.replace("x", "xaxis")] = style.value_axis(panel.title, _ticks(limit)) | {
            "domain": _domain(number, len(panels)),
            "range": [0, limit * TEXT_ROOM],
        }
        data += _traces(lines, panel, axis)
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _ticks(limit: float) -> dict[float, str]:
    # 0 and one round number: a panel may be 100 pixels wide.
    power = 10.0 ** floor(log10(limit))
    top = next(part * power for part in (5, 2, 1) if part * power <= limit * 1.0001)
    return {0.0: "0", top: f"{top:g}"}


def _domain(number: int, count: int) -> list[float]:
    width = (1 - GAP * (count - 1)) / count
    start = number * (width + GAP)
    return [round(start, 6), round(min(1.0, start + width), 6)]


def _traces(lines: Sequence[Line], panel: Panel, axis: str) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for mode in dict.fromkeys(line.mode for line in lines):
        found = [
            (at, lines[at].name, reading)
            for at, reading in enumerate(panel.readings)
            if reading is not None and lines[at].mode == mode
        ]
        draw = _bars if panel.kind == "bar" else _ranges
        traces += draw(found, mode, panel.title)
    drawn = [(at, reading) for at, reading in enumerate(panel.readings) if reading is not None]
    traces += [_expected(drawn), _texts(drawn)]
    return [trace | {"xaxis": axis, "yaxis": "y"} for trace in traces]


def _bars(found: Sequence[tuple[int, str, Reading]], mode: str, title: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "bar",
            "orientation": "h",
            "name": mode,
            "showlegend": False,
            "x": [reading.value for _, _, reading in found],
            "y": [at for at, _, _ in found],
            "marker": {"color": style.mode_colour(mode)},
            "hovertext": [f"<b>{name}</b><br>{title}: {reading.text}" for _, name, reading in found],
            "hoverinfo": "text",
        }
    ]


def _ranges(found: Sequence[tuple[int, str, Reading]], mode: str, title: str) -> list[dict[str, Any]]:
    colour = style.mode_colour(mode)
    x: list[float | None] = []
    y: list[int | None] = []
    for at, _, reading in found:  # one trace of many segments: None lifts the pen
        x += [reading.low, reading.high, None]
        y += [at, at, None]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": mode,
        "showlegend": False,
        "x": x,
        "y": y,
        "line": {"width": 5, "color": colour},
        "opacity": 0.35,
        "hoverinfo": "skip",
    }
    points = _points("circle", 10, colour) | {
        "x": [reading.value for _, _, reading in found],
        "y": [at for at, _, _ in found],
        "hovertext": [f"<b>{name}</b><br>{title}: {reading.text}" for _, name, reading in found],
        "hoverinfo": "text",
    }
    ends = _points("circle-open", 7, colour) | {
        "x": [reading.high for _, _, reading in found],
        "y": [at for at, _, _ in found],
        "hoverinfo": "skip",
    }
    return [line, points, ends]


def _points(symbol: str, size: int, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "showlegend": False,
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": colour}},
        "cliponaxis": False,
    }


def _expected(drawn: Sequence[tuple[int, Reading]]) -> dict[str, Any]:
    marked = [(at, reading.expected) for at, reading in drawn if reading.expected is not None]
    return _points("line-ns", 17, style.INK) | {
        "x": [expected for _, expected in marked],
        "y": [at for at, _ in marked],
        "hoverinfo": "skip",
    }


def _texts(drawn: Sequence[tuple[int, Reading]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "text",
        "showlegend": False,
        "x": [reading.reach for _, reading in drawn],
        "y": [at for at, _ in drawn],
        "text": [f"  {reading.text}" for _, reading in drawn],
        "textposition": ["middle right"] * len(drawn),
        "textfont": {"size": 12, "color": [style.INK] * len(drawn)},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _key_traces(lines: Sequence[Line], panels: Sequence[Panel], key: Key) -> list[dict[str, Any]]:
    # Without points only the key is drawn: colour stands for the mode, shape for what it is.
    only = {"x": [None], "y": [None], "showlegend": True}
    traces: list[dict[str, Any]] = []
    for mode in dict.fromkeys(line.mode for line in lines):
        if any(panel.kind == "bar" for panel in panels):
            colour = {"color": style.mode_colour(mode)}
            bar = {"type": "bar", "orientation": "h", "name": mode, "marker": colour}
            traces.append({**bar, "x": [0], "y": [0], "showlegend": True, "hoverinfo": "skip"})
    if key.range:
        line = {"line": {"width": 5, "color": style.OTHER_COLOUR}, "opacity": 0.5}
        traces.append({"type": "scatter", "mode": "lines", "name": key.range, **line, **only})
    for name, symbol, size in ((key.point, "circle", 10), (key.end, "circle-open", 7)):
        if name:
            traces.append(_points(symbol, size, style.OTHER_COLOUR) | {"name": name} | only)
    if key.expected:
        traces.append(_points("line-ns", 17, style.INK) | {"name": key.expected} | only)
    return traces
