"""Scaling: how a connection's first packet, or programming, slows down as Services are added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from labkit.chart import facts, style
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table
from labkit.errors import RequestError
from labkit.measure.scaling import ScalingResult, join_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.measure.scaling import ScalingRow
    from labkit.measure.slope import Line

Place = Literal["first", "middle", "last"]
PLACES: tuple[Place, ...] = ("first", "middle", "last")
COLOURS: Mapping[str, str] = {
    "iptables-legacy": style.mode_colour("iptables"),
    "iptables-nft": "#a65b8f",
    "nftables": style.mode_colour("nftables"),
    "ipvs": style.mode_colour("ipvs"),
}
HEIGHT_PX = 420


def show_scaling(results: Sequence[ScalingResult] | ScalingResult, place: Place = "last") -> Chart:
    """Return the chart of first-packet delay (p05, with its 95 % interval) by the number of Services.

    Several results are drawn as one (`join_results`).

    `place` is the Service that is called: the "first", "middle" or "last" of the cluster. Straight lines are
    those of least squares. The table has programming times, too. Raises RequestError for another place.
    """
    if place not in PLACES:
        raise RequestError(f"there is no place {place!r}", todo=f"use one of: {', '.join(PLACES)}")
    result = results if isinstance(results, ScalingResult) else join_results(results)
    title = f"First packet to the {place} Service, p05 in µs"
    fits = result.fits(place)
    return Chart(_figure(title, result, place, fits), _table(title, result, place), _alt(result, place, fits))


def _figure(title: str, result: ScalingResult, place: Place, fits: Mapping[str, Line]) -> dict[str, Any]:
    highest = max(row.first_packet_us[place]["p05"].high for row in result.rows)
    layout = style.layout(title, 1) | {
        "height": HEIGHT_PX,
        "xaxis": _axis("Services", max(row.services for row in result.rows)),
        "yaxis": _axis("p05, µs", highest) | {"side": "left", "automargin": True},
    }
    layout["title"] = layout["title"] | {"y": 1 - 22 / HEIGHT_PX}
    layout["legend"] = layout["legend"] | {"y": 1 - style.LEGEND_PX / HEIGHT_PX}
    data = [_marks(mode, result.of_mode(mode), place) for mode in result.plan.modes if result.of_mode(mode)]
    data += [_line(mode, line, result.of_mode(mode)[-1].services) for mode, line in fits.items()]
    return {"data": data, "layout": layout}


def _axis(title: str, limit: float) -> dict[str, Any]:
    return style.value_axis(title, style.even_ticks(limit)) | {"range": [0, limit * 1.05]}


def _marks(mode: str, rows: tuple[ScalingRow, ...], place: Place) -> dict[str, Any]:
    delays = [row.first_packet_us[place]["p05"] for row in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": mode,
        "showlegend": True,
        "x": [row.services for row in rows],
        "y": [delay.value for delay in delays],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [delay.high - delay.value for delay in delays],
            "arrayminus": [delay.value - delay.low for delay in delays],
            "color": COLOURS[mode],
        },
        "marker": {
            "symbol": "circle",
            "color": COLOURS[mode],
            "size": 8,
            "line": {"width": 0, "color": COLOURS[mode]},
        },
        "hovertext": [
            f"{mode}, {row.services:,} Services: {delay.value:.1f} µs"
            for row, delay in zip(rows, delays, strict=True)
        ],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _line(mode: str, line: Line, last: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{mode}, least squares",
        "showlegend": False,
        "x": [0, last],
        "y": [line.intercept / 1000, (line.intercept + line.slope * last) / 1000],
        "line": {"color": COLOURS[mode], "width": 1.5},
        "opacity": 0.6,
        "hoverinfo": "skip",
    }


def _table(title: str, result: ScalingResult, place: Place) -> Table:
    columns = (
        Column("mode", "left"),
        Column("Services"),
        Column("p05 µs"),
        Column("p50 µs"),
        Column("from nothing ms"),
        Column("one endpoint less ms"),
        Column("one more ms"),
    )
    rows = tuple(
        (
            mode,
            f"{row.services:,}",
            _interval(row, place),
            f"{row.first_packet_us[place]['p50'].value:.1f}",
            f"{1000 * row.program_s:.0f}",
            f"{1000 * row.remove_s:.1f}",
            f"{1000 * row.add_s:.1f}",
        )
        for mode in result.plan.modes
        for row in result.of_mode(mode)
    )
    return Table(f"{title}, and programming (in brackets: 95 % interval)", columns, rows, names=2)


def _interval(row: ScalingRow, place: Place) -> str:
    delay = row.first_packet_us[place]["p05"]
    return f"{delay.value:.1f} ({delay.low:.1f} to {delay.high:.1f})"


def _alt(result: ScalingResult, place: Place, fits: Mapping[str, Line]) -> str:
    sizes = result.plan.sizes
    head = f"First packet to the {place} Service, p05, from {sizes[0]:,} to {sizes[-1]:,}"
    if not fits:
        return f"{head} Services: {facts.counted(len(result.rows), 'measurement')}, too few sizes for lines."
    slopes = (
        f"{mode} {line.slope:+.2f} ns a Service ({line.low:.2f} to {line.high:.2f}, R² {line.r_squared:.3f})"
        for mode, line in fits.items()
    )
    return f"{head} Services: {'; '.join(slopes)}."
