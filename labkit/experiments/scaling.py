"""Scaling: what the number of Services costs in each mode, as one call.

    result = scaling(sizes=(1, 2500, 5000, 7500, 10000), modes=("iptables-legacy", "ipvs"))
    show_scaling(result)

Each mode and size is measured in a fresh guest, one after the other: none finds what another left behind, and
they do not compete for the processors. `scaling_here` measures small ones in this very Linux, in seconds.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from labkit.errors import GuestError, RequestError
from labkit.experiments.cells import answer_cell, guest_facts, load_1m, measure_cells
from labkit.guest.run import DEFAULT_MEMORY_MB
from labkit.measure.records import Quantile, RunResult
from labkit.measure.scaling import (
    SCALING_MODES,
    MemoryPeaks,
    PlaceName,
    ScalingMode,
    ScalingPlan,
    ScalingResult,
    ScalingRow,
)
from labkit.spec.many import MOST_SERVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.experiments.cells import Progress

SIZES = (1, 1000, 2500, 5000, 10_000, 20_000)
FLOWS = 400
ENDPOINTS = 2
_WARM_UP_FLOWS = 50
_MODULE = "labkit.experiments.scaling"
_PLACES: tuple[PlaceName, ...] = ("first", "middle", "last")


@dataclass(frozen=True, slots=True)
class ScalingCell:
    """One mode and size: what a guest is asked."""

    mode: ScalingMode
    services: int
    flows: int
    endpoints: int
    seed: int

    def __str__(self) -> str:
        return f"{self.mode}, {self.services:,} Services"


def scaling(
    sizes: Sequence[int] = SIZES,
    modes: Sequence[str] = SCALING_MODES,
    *,
    flows: int = FLOWS,
    endpoints: int = ENDPOINTS,
    seed: int = 1,
    memory_mb: int = DEFAULT_MEMORY_MB,
    on_progress: Progress | None = None,
) -> ScalingResult:
    """Measure first-packet delay and programming for each of `modes` and `sizes` (numbers of Services).

    `on_progress(done, total, what)` is called after each. An interrupt ends the guest that runs, and leaves
    nothing. What could not be measured is in `failures`. Raises RequestError for a plan that cannot be, and
    the first error where nothing could be measured.
    """
    plan = plan_scaling(sizes, modes, flows=flows, endpoints=endpoints, seed=seed, memory_mb=memory_mb)
    rows, failures = measure_cells(
        plan_cells(plan), _MODULE, ScalingRow, clock="real", memory_mb=memory_mb, on_progress=on_progress
    )
    return ScalingResult(plan, rows, failures)


def scaling_here(
    sizes: Sequence[int],
    modes: Sequence[str] = SCALING_MODES,
    *,
    flows: int = FLOWS,
    endpoints: int = ENDPOINTS,
    seed: int = 1,
) -> ScalingResult:
    """Measure the same in the lab's Linux that this process runs in: no guest has to start, so it is quick.

    Each mode and size has namespaces of its own, one after the other. No lab may be open. Raises RequestError
    for a plan that cannot be, GuestError outside of a lab's Linux, BuildError where namespaces of these names
    are there, CapabilityError for a mode that this Linux lacks.
    """
    guest_facts("real")
    memory_mb = round(read_memory().total)
    plan = plan_scaling(sizes, modes, flows=flows, endpoints=endpoints, seed=seed, memory_mb=memory_mb)
    return ScalingResult(plan, tuple(measure_cell(cell) for cell in plan_cells(plan)))


def plan_scaling(
    sizes: Sequence[int], modes: Sequence[str], *, flows: int, endpoints: int, seed: int, memory_mb: int
) -> ScalingPlan:
    """Return a checked plan; sizes go up. Raises RequestError, with what may be asked."""
    unknown = [mode for mode in modes if mode not in get_args(ScalingMode)]
    if unknown or not modes:
        raise RequestError(
            f"scaling knows no mode {unknown[0]!r}" if unknown else "no mode is named",
            todo=f"use some of: {', '.join(SCALING_MODES)}",
        )
    if not sizes or any(not isinstance(size, int) or not 1 <= size <= MOST_SERVICES for size in sizes):
        raise RequestError(
            f"sizes={tuple(sizes)} are not numbers of Services", todo=f"give some from 1 to {MOST_SERVICES}"
        )
    if not 20 <= flows <= 10_000:
        raise RequestError(f"flows={flows} say nothing or take too long", todo="give 20 to 10,000")
    ordered = tuple(sorted(set(sizes)))
    known = tuple(cast("ScalingMode", mode) for mode in dict.fromkeys(modes))
    return ScalingPlan(ordered, known, flows, endpoints, seed, memory_mb)


def plan_cells(plan: ScalingPlan) -> tuple[ScalingCell, ...]:
    """Return what is measured, in this order: the smallest clusters first, under every mode."""
    return tuple(
        ScalingCell(mode, size, plan.flows, plan.endpoints, plan.seed)
        for size in plan.sizes
        for mode in plan.modes
    )


def measure_cell(cell: ScalingCell) -> ScalingRow:
    """Measure a cell in the guest that this process runs in."""
    from labkit.experiments.programmed import ProgrammedNode

    facts = guest_facts("real")
    with ProgrammedNode(cell.mode, cell.services, cell.endpoints) as node:
        times = node.program()
        node.measure("last", _WARM_UP_FLOWS, cell.seed)
        runs = {place: node.measure(place, cell.flows, cell.seed) for place in _PLACES}
        peaks = read_memory()
    return ScalingRow(
        mode=cell.mode,
        services=cell.services,
        first_packet_us={place: _delays(run, cell) for place, run in runs.items()},
        program_s=times.program_s,
        remove_s=times.remove_s,
        add_s=times.add_s,
        lost=sum(flow.forward_us is None for run in runs.values() for flow in run.flows),
        memory_mb=peaks,
        guest=facts,
        load_1m=load_1m(),
    )


def read_memory() -> MemoryPeaks:
    """Return what this process and its ended commands held at most, and what the guest holds now."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    kilobytes = {name.rstrip(":"): int(value) for name, value, *_ in lines}
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    process, command = (round(peak / 1024, 1) for peak in peaks)
    total = kilobytes["MemTotal"]
    used = total - kilobytes["MemAvailable"]
    return MemoryPeaks(process, command, round(used / 1024, 1), round(total / 1024, 1))


def _delays(run: RunResult, cell: ScalingCell) -> dict[str, Quantile]:
    if "forward" not in run.latency_us:
        raise GuestError(f"{cell}: no connection to {run.service} was answered")
    least = min(flow.forward_us for flow in run.flows if flow.forward_us is not None)
    quantiles = run.latency_us["forward"]
    return {"min": Quantile(least, least, least), "p05": quantiles["p05"], "p50": quantiles["p50"]}


if __name__ == "__main__":
    answer_cell(ScalingCell, measure_cell)
