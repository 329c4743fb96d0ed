"""Short connections: their time, what the node remembers of each, and who answers when a port comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.panels import Key, Line, Panel, Reading, draw_panels
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from labkit.measure.shortconnections import ShortConnectionsResult, ShortConnectionsRow


def show_short_connections(result: ShortConnectionsResult) -> Chart:
    """Return the chart: connect time, entries left behind each, same pod on a reused port.

    Connect times are p05 and p50: beyond the median a real machine's other work shows, not the mode's.
    """
    rows = result.rows
    title = f"{result.plan.connections:,} short connections, one after the other"
    panels = (
        Panel("connect, µs (p05)", tuple(map(_connect, rows)), "range"),
        Panel("conntrack entries each", tuple(_entries(row, 0) for row in rows)),
        Panel("IPVS entries each", tuple(_entries(row, 1) for row in rows)),
        Panel("reused port, same pod, %", tuple(map(_same_pod, rows))),
    )
    lines = [Line(row.name, row.mode) for row in rows]
    key = Key(point="p05", end="p50", expected="by chance")
    return Chart(draw_panels(title, lines, panels, key), _table(title, result), _alt(result))


def _connect(row: ShortConnectionsRow) -> Reading | None:
    found = row.latency_us.get("connect")
    if found is None:
        return None
    return Reading(
        found["p05"].value, f"{found['p05'].value:.0f}", low=found["p05"].value, high=found["p50"].value
    )


def _entries(row: ShortConnectionsRow, which: int) -> Reading:
    count = row.entries_each()[which]
    return Reading(max(0.0, count), f"{count:.2f}")


def _same_pod(row: ShortConnectionsRow) -> Reading | None:
    if not row.reuse.answered:
        return None
    share = 100 * row.reuse.same_pod / row.reuse.answered
    return Reading(share, f"{share:.0f}", expected=100 / row.pods)


def _table(title: str, result: ShortConnectionsResult) -> Table:
    columns = (
        Column("algorithm", "left"),
        Column("connect p05 µs"),
        Column("connect p50 µs"),
        Column("forward p50 µs"),
        Column("response p50 µs"),
        Column("not answered"),
        Column("conntrack entries"),
        Column("IPVS entries"),
        Column("reused: answered"),
        Column("same pod"),
        Column("first p50 µs"),
        Column("again p50 µs"),
    )
    return Table(title, columns, tuple(map(_line, result.rows)))


def _line(row: ShortConnectionsRow) -> tuple[str, ...]:
    last, reuse = row.held[-1], row.reuse
    medians = (
        f"{row.latency_us[name]['p50'].value:.1f}" if name in row.latency_us else "-"
        for name in ("connect", "forward", "response")
    )
    return (
        row.name,
        f"{row.latency_us['connect']['p05'].value:.1f}" if "connect" in row.latency_us else "-",
        *medians,
        str(row.errors),
        f"{last.conntrack:,} of {row.conntrack_max:,}",
        f"{last.ipvs:,}",
        f"{reuse.answered}/{reuse.flows}",
        str(reuse.same_pod),
        *(f"{times['p50'].value:.0f}" if times else "-" for times in (reuse.first_us, reuse.again_us)),
    )


def _alt(result: ShortConnectionsResult) -> str:
    parts = []
    for row in result.rows:
        conntrack, ipvs = row.entries_each()
        connect = row.latency_us.get("connect")
        took = f"connect {connect['p50'].value:.0f} µs" if connect else "nothing was answered"
        reuse = f"{row.reuse.same_pod} of {row.reuse.answered} reused ports met the same pod"
        parts.append(
            f"{row.name}: {took}, {conntrack:.2f} conntrack and {ipvs:.2f} IPVS entries each, {reuse}"
        )
    return f"{result.plan.connections:,} short connections. {'; '.join(parts)}."
