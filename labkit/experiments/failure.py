"""Failure: what a client sees of a pod that dies: errors, retries, and how long until all is well.

    show_failure(failure())

The same calls, once a second, under each algorithm and for both ways to die, in virtual time. The pod's
endpoints are removed half a minute after its death, as a probe would have it; until then nobody is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from labkit.errors import RequestError
from labkit.experiments.cells import answer_cell, guest_facts, load_1m, measure_cells
from labkit.measure.failure import FailurePlan, FailureResult, FailureRow
from labkit.outage import Outage, perform
from labkit.proxy.plans import MODES
from labkit.spec.cluster import load_manifests, read_cluster
from labkit.spec.events import Death, Event
from labkit.spec.naming import namespace_name
from labkit.spec.schedulers import SCHEDULERS
from labkit.traffic.retrying import CallPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labkit.experiments.cells import Progress

ALGORITHMS = ("iptables", "nftables", "rr", "lc", "sh", "mh")
DEATHS: tuple[Death, ...] = ("refuses", "unreachable")
CALLS = CallPlan(calls=240, every_s=1.0, timeout_s=1.0, retries=1)
LAB = "dead-backend"
DIES_S, REMOVED_S = 10.5, 40.5
_MODULE = "labkit.experiments.failure"


@dataclass(frozen=True, slots=True)
class FailureCell:
    """One algorithm and one way to die: what a guest is asked."""

    death: Death
    outage: Outage

    def __str__(self) -> str:
        return f"{self.outage}, {self.death}"


def failure(
    *manifests: str | Path,
    algorithms: Sequence[str] = ALGORITHMS,
    deaths: Sequence[str] = DEATHS,
    calls: CallPlan = CALLS,
    pod: str = "",
    dies_s: float = DIES_S,
    removed_s: float | None = REMOVED_S,
    on_progress: Progress | None = None,
) -> FailureResult:
    """Let `pod` (none named: the first) die in the cluster of `manifests`; return what its client saw.

    Algorithms are modes and IPVS schedulers. Without a manifest: three pods behind one Service.
    `removed_s` is when its endpoints are removed, None: never (a readiness probe in the manifests may).
    An interrupt ends it and leaves nothing. Raises RequestError for a plan that cannot be, SpecError for the
    manifests' mistakes, and the first error where nothing could be measured.
    """
    texts = load_manifests(manifests or (LAB,))
    pods = [namespace_name(one) for one in read_cluster(texts).pods]
    if not pods or (pod and pod not in pods):
        raise RequestError(f"there is no pod {pod!r} to die", todo=f"there are: {', '.join(pods) or 'none'}")
    plan = plan_failure(
        FailurePlan(
            manifests=texts,
            algorithms=tuple(dict.fromkeys(algorithms)),
            deaths=tuple(cast("Death", death) for death in dict.fromkeys(deaths)),
            calls=calls,
            pod=pod or pods[0],
            dies_s=dies_s,
            removed_s=removed_s,
        )
    )
    rows, failures = measure_cells(
        plan_cells(plan), _MODULE, FailureRow, clock="virtual", on_progress=on_progress
    )
    return FailureResult(plan, rows, failures)


def plan_failure(plan: FailurePlan) -> FailurePlan:
    """Return the plan, checked. Raises RequestError, with what may be asked."""
    known = (*MODES, *SCHEDULERS)
    for what, given, allowed in (
        ("algorithm", plan.algorithms, known),
        ("way to die", plan.deaths, get_args(Death)),
    ):
        unknown = [one for one in given if one not in allowed]
        if unknown or not given:
            raise RequestError(
                f"there is no {what} {unknown[0]!r}" if unknown else f"no {what} is named",
                todo=f"use some of: {', '.join(allowed)}",
            )
    if not 0 <= plan.dies_s < (plan.removed_s or float("inf")):
        raise RequestError(
            f"dies_s={plan.dies_s} and removed_s={plan.removed_s} are not in this order",
            todo="let it die first, at 0 or later",
        )
    return plan


def plan_cells(plan: FailurePlan) -> tuple[FailureCell, ...]:
    """Return a cell for each algorithm and way to die, an algorithm's side by side."""
    cells = []
    for algorithm in plan.algorithms:
        is_scheduler = algorithm in SCHEDULERS
        for death in plan.deaths:
            events = [Event(plan.dies_s, plan.pod, death)]
            if plan.removed_s is not None:
                events.append(Event(plan.removed_s, plan.pod, "removed"))
            outage = Outage(
                manifests=plan.manifests,
                mode="ipvs" if is_scheduler else algorithm,
                scheduler=algorithm if is_scheduler else "rr",
                plan=plan.calls,
                events=tuple(events),
            )
            cells.append(FailureCell(death, outage))
    return tuple(cells)


def measure_cell(cell: FailureCell) -> FailureRow:
    """Measure a cell in the guest that this process runs in."""
    facts = guest_facts("virtual")
    seen = perform(cell.outage)
    return FailureRow(seen.mode, seen.algorithm, cell.death, seen, facts, load_1m())


if __name__ == "__main__":
    answer_cell(FailureCell, measure_cell)
