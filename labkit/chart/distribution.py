"""Distribution: how many connections each pod answered under each algorithm, and how many were expected."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

from labkit.chart import facts, style
from labkit.chart.picture import Chart
from labkit.chart.table import Column, Table
from labkit.errors import RequestError
from labkit.measure.records import RunResult

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS_UP_TO_PODS = 8
LONG_BAR = 0.6  # of the longest
GAP = 0.02  # between two pods' panels, as a part of the figure's width


def show_distribution(runs: Sequence[RunResult] | RunResult) -> Chart:
    """Return the chart of who answered: a line for each run, a column for each pod, expected shares marked.

    Up to eight pods each get a panel of bars; more become a heat map of share against expected share. Where a
    run has no expected shares (source hashing depends on the addresses alone) nothing is marked. Raises
    RequestError if `runs` is empty, mixes real and virtual time, or asks more than one Service port.
    """
    group = (runs,) if isinstance(runs, RunResult) else tuple(runs)
    facts.same_clock(group)
    services = tuple(facts.by_service(group))
    if len(services) > 1:
        raise RequestError(
            "one distribution chart shows one Service port: different Services have different pods",
            where=facts.listing(services),
            todo="call show_distribution once for each Service's runs",
        )
    pods = facts.pods_of(group)
    draw = _bars if len(pods) <= BARS_UP_TO_PODS else _heat_map
    title = f"Who answered: {services[0]}"
    return Chart(draw(title, group, pods), _table(services[0], group, pods), _alt(services[0], group, pods))


def _bars(title: str, runs: Sequence[RunResult], pods: Sequence[str]) -> dict[str, Any]:
    names = facts.run_names(runs)
    layout = style.layout(title, len(runs)) | {"yaxis": style.row_axis(names)}
    limit = _axis_limit(runs, pods)
    data: list[dict[str, Any]] = []
    short = facts.short_pod_names(pods)
    for number, pod in enumerate(pods):
        axis = "" if number == 0 else str(number + 1)
        layout[f"xaxis{axis}"] = style.value_axis(short[number], _share_ticks(limit)) | {
            "domain": _panel(number, len(pods)),
            "range": [0, limit * 1.1],
        }
        data += _pod_bars(runs, names, pod, f"x{axis}", legend=number == 0)
        data.append(_expected_marks(runs, pod, f"x{axis}", legend=number == 0))
        data.append(_counts(runs, pod, f"x{axis}", limit))
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _axis_limit(runs: Sequence[RunResult], pods: Sequence[str]) -> float:
    # In per cent. The same for every pod, so that lengths can be compared across the panels.
    expected = [share for run in runs for share in (run.expected_share or {}).values()]
    return 100 * max([0.01, *expected, *(share for run in runs for share in facts.shares(run, pods))])


def _share_ticks(limit: float) -> dict[float, str]:
    # A line at 0 without a label and one labelled line: a panel may be 50 pixels wide.
    top = 100 if limit > 99 else next((step for step in (50, 25, 20, 10, 5, 2) if step <= limit), 1)
    return {0.0: "", float(top): f"{top}%"}


def _panel(number: int, count: int) -> list[float]:
    width = (1 - GAP * (count - 1)) / count
    start = number * (width + GAP)
    return [round(start, 6), round(min(1.0, start + width), 6)]


def _pod_bars(
    runs: Sequence[RunResult], names: Sequence[str], pod: str, axis: str, *, legend: bool
) -> list[dict[str, Any]]:
    traces = []
    for mode in dict.fromkeys(run.mode for run in runs):
        rows = [row for row, run in enumerate(runs) if run.mode == mode]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": mode,
                "legendgroup": mode,
                "showlegend": legend,
                "x": [100 * facts.shares(runs[row], [pod])[0] for row in rows],
                "y": rows,
                "xaxis": axis,
                "yaxis": "y",
                "marker": {"color": style.mode_colour(mode)},
                "hovertext": [_hover(names[row], runs[row], pod) for row in rows],
                "hoverinfo": "text",
            }
        )
    return traces


def _expected_marks(runs: Sequence[RunResult], pod: str, axis: str, *, legend: bool) -> dict[str, Any]:
    rows = [row for row, run in enumerate(runs) if run.expected_share is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "expected share",
        "legendgroup": "expected",
        "showlegend": legend,
        "x": [100 * (runs[row].expected_share or {}).get(pod, 0.0) for row in rows],
        "y": rows,
        "xaxis": axis,
        "yaxis": "y",
        "marker": {
            "symbol": "line-ns",
            "size": 17,
            "color": style.INK,
            "line": {"width": 2, "color": style.INK},
        },
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _counts(runs: Sequence[RunResult], pod: str, axis: str, limit: float) -> dict[str, Any]:
    places = [_count_place(run, pod, limit) for run in runs]
    return {
        "type": "scatter",
        "mode": "text",
        "name": "connections",
        "showlegend": False,
        "x": [x for x, _ in places],
        "y": list(range(len(runs))),
        "xaxis": axis,
        "yaxis": "y",
        "text": [f" {run.answers.get(pod, 0)} " for run in runs],
        "textposition": [f"middle {side}" for _, side in places],
        "textfont": {"size": 12, "color": [style.INK if side == "right" else "white" for _, side in places]},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _count_place(run: RunResult, pod: str, limit: float) -> tuple[float, str]:
    # A long bar has its number inside, a short one outside; the expected mark crosses neither.
    share = 100 * facts.shares(run, [pod])[0]
    mark = 100 * (run.expected_share or {}).get(pod, 0.0)
    if share < LONG_BAR * limit:
        return max(share, mark), "right"
    near = 0 <= share - mark < LONG_BAR / 2 * limit
    return (mark if near else share), "left"


def _heat_map(title: str, runs: Sequence[RunResult], pods: Sequence[str]) -> dict[str, Any]:
    names = facts.run_names(runs)
    layout = style.layout(title, len(runs)) | {
        "yaxis": style.row_axis(names),
        "xaxis": style.value_axis("pods", _pod_ticks(pods))
        | {"range": [-0.5, len(pods) - 0.5], "showgrid": False},
    }
    trace = {
        "type": "heatmap",
        "z": [[_doublings(run, pod, pods) for pod in pods] for run in runs],
        "zmin": -2,
        "zmax": 2,
        "colorscale": [
            [0, "#b35806"],
            [0.25, "#f1a340"],
            [0.5, "#f3f3f3"],
            [0.75, "#67a9cf"],
            [1, "#014f8c"],
        ],
        "xgap": 1,
        "ygap": 2,
        "colorbar": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 - (style.LEGEND_PX - 10) / layout["height"],
            "yref": "container",
            "yanchor": "top",
            "len": 0.9,
            "thickness": 8,
            "tickvals": [-2, -1, 0, 1, 2],
            "ticktext": ["¼ of expected", "½", "as expected", "twice", "4 times"],
            "tickfont": {"size": 11},
            "outlinewidth": 0,
        },
        "hovertext": [
            [_hover(name, run, pod) for pod in pods] for name, run in zip(names, runs, strict=True)
        ],
        "hoverinfo": "text",
    }
    return {"data": [trace], "layout": layout}


def _pod_ticks(pods: Sequence[str]) -> dict[float, str]:
    short = facts.short_pod_names(pods)
    step = -(-len(pods) // 6)
    return {number: short[number] for number in range(0, len(pods), step)}


def _doublings(run: RunResult, pod: str, pods: Sequence[str]) -> float:
    # log2 of the share over the expected share, or over an even share where nothing is expected.
    expected = (run.expected_share or {}).get(pod, 0.0) if run.expected_share is not None else 1 / len(pods)
    share = facts.shares(run, [pod])[0]
    if share == 0 or expected == 0:
        return 0.0 if share == expected else -2.0 if share == 0 else 2.0
    return max(-2.0, min(2.0, log2(share / expected)))


def _hover(name: str, run: RunResult, pod: str) -> str:
    share = facts.shares(run, [pod])[0]
    got = f"{run.answers.get(pod, 0)} of {run.answered} connections ({share:.1%})"
    expected = (
        "no expected share"
        if run.expected_share is None
        else f"expected {run.expected_share.get(pod, 0):.1%}"
    )
    return f"<b>{name}</b><br>{pod}<br>{got}<br>{expected}"


def _table(service: str, runs: Sequence[RunResult], pods: Sequence[str]) -> Table:
    columns = (
        Column("algorithm", "left"),
        *(Column(name) for name in facts.short_pod_names(pods)),
        Column("answered"),
        Column("as expected?", "left"),
        Column("p value"),
    )
    rows = tuple(
        (
            name,
            *(_cell(run, pod) for pod in pods),
            f"{run.answered}/{run.connections}",
            facts.as_expected(run),
            facts.p_text(run),
        )
        for name, run in zip(facts.run_names(runs), runs, strict=True)
    )
    return Table(f"Connections that each pod of {service} answered (in brackets: expected)", columns, rows)


def _cell(run: RunResult, pod: str) -> str:
    count = str(run.answers.get(pod, 0))
    if run.expected_share is None:
        return count
    return f"{count} ({run.expected_share.get(pod, 0.0) * run.answered:.0f})"


def _alt(service: str, runs: Sequence[RunResult], pods: Sequence[str]) -> str:
    what = (
        f"Connections to {service} by pod, "
        f"{facts.counted(len(runs), 'algorithm')} over {facts.counted(len(pods), 'pod')}"
    )
    named = tuple(zip(facts.run_names(runs), runs, strict=True))
    silent = [name for name, run in named if not run.answered]
    answered = [(name, run) for name, run in named if run.answered]
    parts = [_evenness(answered, pods)] if answered else []
    if silent:
        parts.append(f"nobody answered under {facts.listing(silent)}")
    parts += _surprises(answered)
    return f"{what}: {'; '.join(parts)}."


def _evenness(named: Sequence[tuple[str, RunResult]], pods: Sequence[str]) -> str:
    if len(pods) == 1:
        return f"one pod gave every answer, {named[0][1].answered} of them under {named[0][0]}"
    spreads = [facts.spread(run, pods) for _, run in named]
    most = [(name, run) for (name, run), value in zip(named, spreads, strict=True) if value == min(spreads)]
    least = [(name, run) for (name, run), value in zip(named, spreads, strict=True) if value == max(spreads)]
    even = f"{facts.answers_range(most[0][1], pods)} of {most[0][1].answered}"
    if min(spreads) == max(spreads):
        names = facts.listing([name for name, _ in most])
        if min(spreads) == 0:
            return f"{names} gave every pod the same: {even}"
        return f"equally uneven under {names}: {even}"
    uneven = f"{facts.answers_range(least[0][1], pods)} of {least[0][1].answered}"
    return (
        f"most even {facts.listing([name for name, _ in most])} ({even}), "
        f"least even {facts.listing([name for name, _ in least])} ({uneven})"
    )


def _surprises(named: Sequence[tuple[str, RunResult]]) -> list[str]:
    judged = [(name, facts.as_expected(run)) for name, run in named]
    surprising = [name for name, verdict in judged if verdict in {"no", "unlikely"}]
    if surprising:
        return [f"not as expected: {facts.listing(surprising)}"]
    return (
        ["every expected share was met within chance"]
        if any(verdict == "yes" for _, verdict in judged)
        else []
    )
