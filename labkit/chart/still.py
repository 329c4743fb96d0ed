"""The still picture of a drawing: the same plotly JSON as static SVG, for places that run no script. Pure.

It knows the marks that our charts use: horizontal bars, lines, markers with intervals, heat maps; rows run
downwards and the value axes stand on top, linear or logarithmic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import log10
from typing import TYPE_CHECKING, Any

from labkit.chart import style

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WIDTH_PX = 760
LETTER_PX = 7.2  # of the axis labels, on average


@dataclass(frozen=True, slots=True)
class Scale:
    """From an axis' values to pixels; `log` axes have their range as powers of ten, as plotly has it."""

    start_px: float
    end_px: float
    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        # A time of 0 has no logarithm: it stands at the axis' low end.
        place = log10(max(value, 10**self.low)) if self.log else value
        return self.start_px + (place - self.low) / (self.high - self.low) * (self.end_px - self.start_px)


def still_svg(drawing: Mapping[str, Any], alt: str) -> str:
    """Return the drawing as one <svg> that carries `alt` as its description."""
    layout = drawing["layout"]
    left = 16 + LETTER_PX * max((len(_plain(text)) for text in layout["yaxis"]["ticktext"]), default=0)
    right = WIDTH_PX - layout["margin"]["r"]
    top, bottom = layout["margin"]["t"], layout["height"] - layout["margin"]["b"]
    low, high = layout["yaxis"]["range"]  # rows go down, a scale of values goes up
    rows = _scale(layout["yaxis"], *((top, bottom) if low > high else (bottom, top)))
    axes = {
        name: _scale(layout[_key(name)], *_ends(layout[_key(name)], left, right))
        for name in _axis_names(drawing)
    }
    parts = [
        f'<rect width="{WIDTH_PX}" height="{layout["height"]}" fill="{style.PAPER}"/>',
        _text(12, 24, layout["title"]["text"], anchor="start", size=16, weight=600),
        *(_grid(layout[_key(name)], scale, top, bottom) for name, scale in axes.items()),
        *(_text(left - 8, rows.at(at) + 4, label) for at, label in _ticks(layout["yaxis"])),
        *(_marks(trace, axes[trace.get("xaxis", "x")], rows) for trace in drawing["data"]),
        *(
            _text(left, rows.at(note["y"]) + 4, note["text"], anchor="start")
            for note in layout.get("annotations", ())
        ),
        _legend(drawing, style.LEGEND_PX),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {layout["height"]}" role="img" '
        f'style="width:100%;max-width:{WIDTH_PX}px" font-family="{escape(style.FONT)}">'
        f"<title>{escape(layout['title']['text'])}</title><desc>{escape(alt)}</desc>{''.join(parts)}</svg>"
    )


def _axis_names(drawing: Mapping[str, Any]) -> list[str]:
    return [key.replace("axis", "") for key in drawing["layout"] if key.startswith("xaxis")]


def _key(name: str) -> str:
    return name.replace("x", "xaxis")


def _ends(axis: Mapping[str, Any], left: float, right: float) -> tuple[float, float]:
    start, end = axis.get("domain", (0, 1))
    return left + start * (right - left), left + end * (right - left)


def _scale(axis: Mapping[str, Any], start_px: float, end_px: float) -> Scale:
    low, high = axis["range"]
    if low > high:  # plotly's reversed vertical axis: the first row on top
        low, high = high, low
    return Scale(start_px, end_px, low, high, axis.get("type") == "log")


def _ticks(axis: Mapping[str, Any]) -> list[tuple[float, str]]:
    return list(zip(axis["tickvals"], axis["ticktext"], strict=True))


def _plain(text: str) -> str:
    return re.sub(r"<[^>]*>", " ", text).strip()


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "end",
    size: int = 13,
    weight: int = 400,
    fill: str = style.INK,
) -> str:
    weight = 600 if "<b>" in text else weight
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'font-size="{size}" font-weight="{weight}" fill="{fill}">'
        f"{escape(_plain(text))}</text>"
    )


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, width: float) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _grid(axis: Mapping[str, Any], scale: Scale, top: float, bottom: float) -> str:
    middle = (scale.start_px + scale.end_px) / 2
    parts = [_text(middle, top - 26, axis["title"]["text"], anchor="middle")]
    for at, label in _ticks(axis):
        x = scale.at(at)
        if axis["showgrid"]:
            parts.append(_line((x, top), (x, bottom), style.GRID, 1))
        parts.append(_text(x, top - 8, label, anchor="middle", size=11, fill=style.MUTED))
    return "".join(parts)


def _marks(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    if trace["type"] == "bar":
        return _bars(trace, axis, rows)
    if trace["type"] == "heatmap":
        return _cells(trace, axis, rows)
    if trace["mode"] == "text":
        return _words(trace, axis, rows)
    return _segments(trace, axis, rows) if trace["mode"] == "lines" else _points(trace, axis, rows)


def _words(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    font = trace["textfont"]
    parts = []
    for x, y, text, side, colour in zip(
        trace["x"], trace["y"], trace["text"], trace["textposition"], font["color"], strict=True
    ):
        shift, anchor = (5, "start") if side == "middle right" else (-5, "end")
        parts.append(
            _text(axis.at(x) + shift, rows.at(y) + 4, text, anchor=anchor, size=font["size"], fill=colour)
        )
    return "".join(parts)


def _bars(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    colour, height = trace["marker"]["color"], 0.7 * (rows.at(1) - rows.at(0))
    parts = []
    for x, y in zip(trace["x"], trace["y"], strict=True):
        start, end = axis.at(0), axis.at(x)
        parts.append(
            f'<rect x="{start:.1f}" y="{rows.at(y) - height / 2:.1f}" '
            f'width="{end - start:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )
    return "".join(parts)


def _segments(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    points = zip(trace["x"], trace["y"], strict=True)
    colour, width = trace["line"]["color"], trace["line"]["width"]
    lines = (
        _line((axis.at(a), rows.at(from_y)), (axis.at(b), rows.at(to_y)), colour, width)
        for (a, from_y), (b, to_y) in pairwise(points)
        if a is not None and b is not None
    )
    return f'<g opacity="{trace["opacity"]}">{"".join(lines)}</g>'


def _points(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    marker, error = trace["marker"], trace.get("error_x")
    parts = []
    for number, (x, y) in enumerate(zip(trace["x"], trace["y"], strict=True)):
        if x is None:  # it stands in the legend only
            continue
        place = rows.at(y)
        if error:
            low, high = x - error["arrayminus"][number], x + error["array"][number]
            parts.append(_line((axis.at(low), place), (axis.at(high), place), marker["color"], 1.2))
            parts += [
                _line((axis.at(end), place - 3), (axis.at(end), place + 3), marker["color"], 1.2)
                for end in (low, high)
            ]
        parts.append(_symbol(marker, axis.at(x), place))
    return "".join(parts)


def _symbol(marker: Mapping[str, Any], x: float, y: float) -> str:
    half, colour = marker["size"] / 2, marker["color"]
    match marker["symbol"]:
        case "line-ns":
            return _line((x, y - half), (x, y + half), colour, 2)
        case "diamond":
            around = f"l{half} {half}l-{half} {half}l-{half} -{half}z"
            return f'<path d="M{x:.1f} {y - half:.1f}{around}" fill="{colour}"/>'
        case "circle-open":
            ring = f'fill="none" stroke="{colour}" stroke-width="2"'
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half}" {ring}/>'
        case _:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half}" fill="{colour}"/>'


def _cells(trace: Mapping[str, Any], axis: Scale, rows: Scale) -> str:
    width, height = axis.at(1) - axis.at(0), rows.at(1) - rows.at(0)
    parts = []
    for y, line in enumerate(trace["z"]):
        for x, value in enumerate(line):
            colour = _nearest_colour(
                (value - trace["zmin"]) / (trace["zmax"] - trace["zmin"]), trace["colorscale"]
            )
            parts.append(
                f'<rect x="{axis.at(x) - width / 2:.1f}" y="{rows.at(y) - height / 2 + 1:.1f}" '
                f'width="{width - 1:.1f}" height="{height - 2:.1f}" fill="{colour}"/>'
            )
    return "".join(parts)


def _nearest_colour(place: float, scale: Sequence[tuple[float, str]]) -> str:
    # Mixed between the two stops around it, as plotly mixes.
    for (low, dark), (high, light) in pairwise(scale):
        if place <= high:
            part = (place - low) / (high - low)
            mixed = (round(a + (b - a) * part) for a, b in zip(_rgb(dark), _rgb(light), strict=True))
            return "#" + "".join(f"{channel:02x}" for channel in mixed)
    return scale[-1][1]


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _legend(drawing: Mapping[str, Any], y: float) -> str:
    parts, x = [], 16.0
    for sign, name in key_to(drawing):
        parts.append(f'<g transform="translate({x:.1f} {y - 8:.1f})">{sign}</g>')
        parts.append(_text(x + 22, y + 4, name, anchor="start", size=12))
        x += 44 + LETTER_PX * len(name)
    return "".join(parts)


def key_to(drawing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what each sign of the drawing means: 16 x 16 pixels of SVG, and its name."""
    for trace in drawing["data"]:
        if trace["type"] == "heatmap":
            yield from _key_to_colours(trace)
        elif not trace.get("showlegend"):
            continue
        elif trace["type"] == "bar":
            yield _square(trace["marker"]["color"]), trace["name"]
        elif trace["mode"] == "lines":
            line = _line((0, 8), (16, 8), trace["line"]["color"], trace["line"]["width"])
            yield f'<g opacity="{trace["opacity"]}">{line}</g>', trace["name"]
        else:
            yield _symbol(trace["marker"], 8, 8), trace["name"]


def _key_to_colours(trace: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bar, low, high = trace["colorbar"], trace["zmin"], trace["zmax"]
    for value, label in zip(bar["tickvals"], bar["ticktext"], strict=True):
        yield _square(_nearest_colour((value - low) / (high - low), trace["colorscale"])), label


def _square(colour: str) -> str:
    return f'<rect x="2" y="2" width="12" height="12" fill="{colour}"/>'
