"""The report: one page that tells what was measured and opens without internet."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import TYPE_CHECKING

from labkit.chart import facts, style
from labkit.chart.comparison import comparison_table
from labkit.chart.distribution import show_distribution
from labkit.chart.latency import MEASURES, show_latency
from labkit.chart.page import page_html, script_json
from labkit.chart.prose import HONEST, READING, REWRITING, paragraphs
from labkit.chart.still import key_to
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.chart.picture import Chart
    from labkit.chart.rewriting import Rewriting
    from labkit.measure.records import Report, RunResult
    from labkit.traffic.workload import Workload

TITLE = "Who answered, and how fast"
LINES_PER_CHART = 60
PANEL_PX = 56
GUEST_KIND = {"uml": "User-Mode Linux", "host": "this machine's own"}


def report_html(report: Report, rewriting: Sequence[Rewriting] = ()) -> str:
    """Return the whole page as HTML text (about 5 MB: plotly's script is in it, nothing is fetched).

    `rewriting` are the packets of one connection in order, if there are any to show.
    """
    numbers = count(1)
    sections = [
        _section("comparison", "Comparison", _wide(comparison_table(report.runs))),
        _section("distribution", "Who got how much", "\n".join(_distributions(report.runs, numbers))),
        _section("latency", "How fast", "\n".join(_latencies(report.runs, numbers))),
        *([_section("rewriting", "One connection, rewritten", _rewriting(rewriting))] if rewriting else []),
        _section("reading", "How to read this", _paragraphs(READING)),
        _section("honest", "What these numbers do not say", _paragraphs(HONEST)),
    ]
    body = (
        '<a class="skip" href="#main">Skip to the comparison</a>\n'
        f'<header>\n<h1>{TITLE}</h1>\n<p class="lede">{escape(_lede(report))}</p>\n'
        f"{_facts(report)}\n</header>\n"
        f'<main id="main">\n{"".join(sections)}</main>\n'
        f"<footer><p>Made by labkit. The same figures are in <code>results.json</code> and every single "
        f"connection in <code>flows.jsonl</code> beside this page; seed {report.seed} sends the same traffic "
        f"again.</p></footer>"
    )
    return page_html(TITLE, body)


def _lede(report: Report) -> str:
    asked, answered = sum(run.connections for run in report.runs), sum(run.answered for run in report.runs)
    modes = facts.listing(list(dict.fromkeys(run.mode for run in report.runs)))
    algorithms = facts.counted(len({facts.run_name(run) for run in report.runs}), "algorithm")
    ports = facts.counted(len(facts.by_service(report.runs)), "Service port")
    outcome = (
        "every connection was answered"
        if asked == answered
        else f"{answered} of {asked} connections were answered"
    )
    what = f"The same traffic to {ports} under {algorithms} ({modes})"
    return f"{what}, forwarded by a real Linux kernel: {outcome}."


def _facts(report: Report) -> str:
    guest = report.guest
    kind, processors = GUEST_KIND.get(guest.kind, guest.kind), facts.counted(guest.cpus, "processor")
    rows = {
        "Linux": f"{guest.release} ({kind}, {processors}), iptables-{report.iptables_backend}",
        "Traffic": workload_text(report.workload),
        "Manifests": ", ".join(report.manifests) or "the shipped lab",
        "Seed": str(report.seed),
        "Clock": " and ".join(f"{clock} time" for clock in facts.by_clock(report.runs)),
    }
    return (
        "<dl>\n" + "\n".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items()) + "\n</dl>"
    )


def workload_text(workload: Workload) -> str:
    """Return a workload as one phrase: how many connections, how they arrive, how slow the pods are."""
    parts = [f"{facts.counted(workload.connections, 'new connection')} per run"]
    if workload.arrivals == "poisson":
        parts.append(f"arriving at random (Poisson), {workload.rate_per_s:g} a second on average")
    else:
        parts.append(f"{workload.concurrency} open at a time")
    parts.append(f"from {facts.counted(workload.clients, 'client address', 'client addresses')}")
    if workload.service_ms:
        parts.append(
            "service time " + _by_pod(f"{pod}: {ms:g} ms" for pod, ms in workload.service_ms.items())
        )
    if workload.weights:
        parts.append("weights " + _by_pod(f"{pod}: {weight}" for pod, weight in workload.weights.items()))
    return "; ".join(parts)


def _by_pod(items: Iterator[str]) -> str:
    return ", ".join(
        item.replace("*:", "all others:", 1) if item.startswith("*:") else item for item in items
    )


def _distributions(runs: Sequence[RunResult], numbers: Iterator[int]) -> Iterator[str]:
    single = []
    for clock_runs in facts.by_clock(runs).values():
        for service, group in facts.by_service(clock_runs).items():
            if len(facts.pods_of(group)) > 1:
                yield _figure(show_distribution(group), next(numbers))
            else:
                single.append(service)
    if single:
        yield (f"<p>{escape(_one_pod(list(dict.fromkeys(single))))}</p>")


def _one_pod(services: Sequence[str]) -> str:
    if len(services) == 1:
        return f"All answers of {services[0]} came from one pod, so there is nothing to compare."
    listed = ", ".join(services)
    what = f"{len(services)} Service ports had all their answers from one pod each"
    return f"{what}, so there is nothing to compare: {listed}."


def _latencies(runs: Sequence[RunResult], numbers: Iterator[int]) -> Iterator[str]:
    for clock_runs in facts.by_clock(runs).values():
        groups = facts.by_service(clock_runs)
        if len(clock_runs) <= LINES_PER_CHART or len(groups) == 1:
            yield from (_figure(chart, next(numbers)) for chart in _charts(clock_runs))
            continue
        for service, group in groups.items():
            figures = "\n".join(_figure(chart, next(numbers)) for chart in _charts(group))
            yield f"<details><summary>{escape(service)}</summary>\n{figures}\n</details>"


def _charts(runs: Sequence[RunResult]) -> Iterator[Chart]:
    measured = {measure for run in runs for measure in run.latency_us}
    return (show_latency(runs, measure) for measure in MEASURES if measure in measured)


def _figure(chart: Chart, number: int) -> str:
    drawing = style.bare(chart.drawing)
    name = f"chart-{number}"
    return (
        f'<figure aria-labelledby="{name}-title">\n<h3 id="{name}-title">{escape(chart.title)}</h3>\n'
        f"<figcaption>{escape(chart.alt)}</figcaption>\n"
        f"{_key(chart)}\n"
        f'<div class="across"><div class="plot" style="min-width:{_least_px(chart)}px" id="{name}" '
        f'role="img" aria-label="{escape(chart.title)}: the picture of the sentence above">'
        f"{chart.still}</div></div>\n"
        f'<script type="application/json" id="{name}-drawing">{script_json(drawing)}</script>\n'
        f"<details><summary>The same data as a table</summary>\n{_wide(chart.table)}\n</details>\n</figure>"
    )


def _key(chart: Chart) -> str:
    signs = "".join(
        f'<li><svg width="16" height="16" aria-hidden="true">{sign}</svg> {escape(name)}</li>'
        for sign, name in key_to(chart.drawing)
    )
    return f'<ul class="key">{signs}</ul>'


def _least_px(chart: Chart) -> int:
    # Narrower than this, pods' panels would overlap: the chart scrolls sideways instead.
    panels = len([key for key in chart.drawing["layout"] if key.startswith("xaxis")])
    return 140 + PANEL_PX * panels


def _rewriting(rows: Sequence[Rewriting]) -> str:
    titles = ("packet", "on the client's side", "on the pod's side")
    cells = tuple((row.packet, row.client_side, row.pod_side) for row in rows)
    table = Table(
        "The packets of one connection, in order", tuple(Column(one, "left") for one in titles), cells
    )
    return _paragraphs(REWRITING) + _wide(table)


def _section(name: str, title: str, content: str) -> str:
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(title)}</h2>\n{content}\n</section>\n'
    )


def _wide(table: Table) -> str:
    # Focusable, so that a keyboard can scroll it where the window is narrow.
    label = escape(table.caption)
    return f'<div class="wide" role="region" tabindex="0" aria-label="{label}">\n{table.html()}\n</div>'


def _paragraphs(text: str) -> str:
    return "\n".join(
        f"<p><strong>{escape(lead)}</strong> {escape(body)}</p>" for lead, body in paragraphs(text)
    )
