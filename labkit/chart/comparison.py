"""The comparison: one line a run. The demo prints it, the report opens with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart import facts
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.measure.records import Clock, RunResult

LATENCIES = (
    ("connect", "p50"),
    ("connect", "p95"),
    ("response", "p50"),
    ("response", "p95"),
    ("response", "p99"),
    ("forward", "p50"),
)


def comparison_table(runs: Sequence[RunResult]) -> Table:
    """Return the table of all runs; a leading column groups several Service ports or clocks.

    The title says so where all is in virtual time.

    Latencies are in one unit a measure, which its heading names. "per pod" is how many connections a pod got,
    fewest to most.
    """
    services, clocks = facts.by_service(runs), facts.by_clock(runs)
    grouped = len(services) > 1 or len(clocks) > 1
    units = _units(runs)
    noted = any(_note(run) for run in runs)
    columns = (
        *((Column("Service", "left"),) if grouped else ()),
        Column("algorithm", "left"),
        Column("answered"),
        Column("per pod"),
        Column("as expected?", "left"),
        Column("p value"),
        *(
            Column(f"{measure} {quantile}, {units[measure].name}")
            for measure, quantile in LATENCIES
            if measure in units
        ),
        *((Column("note", "left"),) if noted else ()),
    )
    rows = []
    for group in services.values():
        pods = facts.pods_of(group)
        for name, run in zip(facts.run_names(group), group, strict=True):
            lead = (_group_name(run, clocks),) if grouped else ()
            rows.append((*lead, name, *_cells(run, pods, units), *((_note(run),) if noted else ())))
    title = "Every run side by side" + (", virtual time" if [*clocks] == ["virtual"] else "")
    return Table(title, columns, tuple(rows), names=2 if grouped else 1)


def _units(runs: Sequence[RunResult]) -> Mapping[str, facts.Unit]:
    units = {}
    for measure in dict.fromkeys(measure for measure, _ in LATENCIES):
        medians = [
            run.latency_us[measure]["p50"].value for run in runs if "p50" in run.latency_us.get(measure, {})
        ]
        if medians:
            units[measure] = facts.unit_for(medians)
    return units


def _group_name(run: RunResult, clocks: Mapping[Clock, object]) -> str:
    return facts.service_name(run) + (f", {run.clock} time" if len(clocks) > 1 else "")


def _cells(run: RunResult, pods: Sequence[str], units: Mapping[str, facts.Unit]) -> tuple[str, ...]:
    latencies = tuple(
        _latency(run, measure, quantile, units[measure])
        for measure, quantile in LATENCIES
        if measure in units
    )
    answered = f"{run.answered}/{run.connections}"
    return answered, facts.answers_range(run, pods), facts.as_expected(run), facts.p_text(run), *latencies


def _latency(run: RunResult, measure: str, quantile: str, unit: facts.Unit) -> str:
    found = run.latency_us.get(measure, {}).get(quantile)
    return "-" if found is None else unit.number(found.value)


def _note(run: RunResult) -> str:
    errors = [f"{count} {error}" for error, count in run.errors.items() if count]
    lost = [f"{facts.counted(run.lost_stamps, 'packet stamp')} lost"] if run.lost_stamps else []
    return ", ".join([*errors, *lost, *(("overloaded",) if run.overloaded else ())])
