"""Failure: every call of a client on a line of time, while a pod is dead: answered, answered late, failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.chart import facts, style
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from labkit.measure.failure import FailureResult, FailureRow
    from labkit.traffic.retrying import Call

# name, symbol, size, colour: Okabe and Ito's vermilion darkened, their orange darkened, and grey.
SIGNS = (
    ("answered at once", "line-ns", 9, "#b6bec8"),
    ("answered by a retry", "circle-open", 7, "#a8690a"),
    ("failed", "diamond", 10, "#b3261e"),
)


def show_failure(result: FailureResult) -> Chart:
    """Return the chart of all calls by second: a line for each algorithm and way to die."""
    plan = result.plan
    title = f"Pod {plan.pod} dies at {plan.dies_s:g} s" + (
        f", its endpoints go at {plan.removed_s:g} s" if plan.removed_s is not None else ""
    )
    return Chart(_figure(title, result), _table(title, result), _alt(result))


def _label(row: FailureRow) -> str:
    return f"{row.name}, {row.death}"


def _named(row: FailureRow) -> str:
    return f"{row.name} ({row.death})"


def _kind(call: Call) -> int:
    if not call.is_answered:
        return 2
    return 1 if len(call.attempts) > 1 else 0


def _figure(title: str, result: FailureResult) -> dict[str, Any]:
    rows = result.rows
    end_s = max(call.at_s for row in rows for call in row.recovery.calls)
    layout = style.layout(title, len(rows)) | {
        "yaxis": style.row_axis([_label(row) for row in rows]),
        "xaxis": style.value_axis("second of the call", style.even_ticks(max(end_s, 1.0)))
        | {"range": [-0.01 * end_s, 1.01 * end_s]},
    }
    data = [_moment(result.plan.dies_s, len(rows), "the pod dies", "#b3261e")]
    if result.plan.removed_s is not None:
        data.append(_moment(result.plan.removed_s, len(rows), "its endpoints go", style.INK))
    data += [_calls(result, kind) for kind in range(len(SIGNS))]
    return {"data": data, "layout": layout}


def _moment(at_s: float, rows: int, name: str, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "showlegend": True,
        "x": [at_s, at_s],
        "y": [-0.6, rows - 0.4],
        "line": {"width": 2, "color": colour},
        "opacity": 0.6,
        "hoverinfo": "skip",
    }


def _calls(result: FailureResult, kind: int) -> dict[str, Any]:
    name, symbol, size, colour = SIGNS[kind]
    found = [
        (at, row, call)
        for at, row in enumerate(result.rows)
        for call in row.recovery.calls
        if _kind(call) == kind
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "showlegend": True,
        "x": [call.at_s for _, _, call in found] or [None],
        "y": [at for at, _, _ in found] or [None],
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": colour,
            "line": {"width": 1.5 if kind < 2 else 0, "color": colour},
        },
        "hovertext": [f"<b>{_label(row)}</b><br>{call.at_s:.0f} s: {_words(call)}" for _, row, call in found],
        "hoverinfo": "text",
    }


def _words(call: Call) -> str:
    return ", then ".join(one.error or f"answered by {one.pod}" for one in call.attempts)


def _table(title: str, result: FailureResult) -> Table:
    plan = result.plan
    since_s = plan.dies_s if plan.removed_s is None else plan.removed_s
    what = "death" if plan.removed_s is None else "endpoints went"
    columns = (
        Column("algorithm", "left"),
        Column("the pod", "left"),
        Column("calls"),
        Column("failed"),
        Column("retries"),
        Column("errors met", "left"),
        Column("slowest s"),
        Column(f"last trouble, s after {what}"),
    )
    lines = tuple(
        (
            row.name,
            row.death,
            str(len(row.recovery.calls)),
            str(row.recovery.failed),
            str(row.recovery.retries),
            ", ".join(f"{count} {error}" for error, count in sorted(row.errors.items())) or "none",
            f"{row.recovery.slowest_s:.1f}",
            f"{row.troubled_s(since_s):.0f}" if row.troubled_s(since_s) else "none",
        )
        for row in result.rows
    )
    return Table(title, columns, lines, names=2)


def _alt(result: FailureResult) -> str:
    plan = result.plan
    ordered = sorted(result.rows, key=lambda row: row.recovery.failed)
    most = ordered[-1]
    unharmed = [_named(row) for row in ordered if not row.recovery.failed]
    calls = facts.counted(len(most.recovery.calls), "call")
    none = f"no call fails with {facts.listing(unharmed)}; " if unharmed else ""
    late = ""
    if plan.removed_s is not None:
        stuck = [row for row in result.rows if row.troubled_s(plan.removed_s)]
        longest = max((row.troubled_s(plan.removed_s) for row in stuck), default=0.0)
        names = facts.listing(tuple(dict.fromkeys(row.name for row in stuck))) if stuck else ""
        late = f"; with {names} trouble goes on for {longest:.0f} s after its endpoints went" if stuck else ""
    retries = facts.counted(plan.calls.retries, "retry", "retries")
    return (
        f"Pod {plan.pod} dies; of {calls} with {retries}, {none}"
        f"{most.recovery.failed} fail with {_named(most)}{late}."
    )
