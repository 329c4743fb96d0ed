"""Algorithms: unequal pods under one algorithm after another; steady traffic, bursts, long connections.

    show_algorithms(compare_algorithms())

In virtual time: exact delays, the same on every machine.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from labkit.errors import LabError, RequestError
from labkit.experiment import Experiment, run_all
from labkit.experiments.cells import load_1m
from labkit.measure.algorithms import AlgorithmsPlan, AlgorithmsResult, AlgorithmsRow
from labkit.proxy.plans import MODES
from labkit.spec.cluster import load_manifests
from labkit.spec.schedulers import SCHEDULERS
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from labkit.experiments.cells import Progress

LAB = "unequal"
NAMES = ("iptables", "nftables", "rr", "wrr", "lc", "wlc", "sed", "nq")


def _traffic(**others: float) -> Workload:
    # Nobody gives up: waiting costs nothing in virtual time, and all answers are counted.
    common = {"connections": 1200, "rate_per_s": 30.0, "clients": 64, "timeout_s": 3600.0}
    return Workload(arrivals="poisson", **(common | others))  # type: ignore[arg-type] # counts are whole


TRAFFIC: Mapping[str, Workload] = MappingProxyType(
    {
        "one at a time": _traffic(),
        "in bursts of 10": _traffic(burst=10),
        "1 in 20 is 10 times as long": _traffic(long_share=0.05, long_times=10.0),
    }
)


def compare_algorithms(
    *manifests: str | Path,
    names: Sequence[str] = NAMES,
    traffic: Mapping[str, Workload] = TRAFFIC,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> AlgorithmsResult:
    """Send each kind of `traffic` under each algorithm of `names` (modes and IPVS schedulers).

    Without a manifest: three pods that need 5, 10 and 40 ms for a request, which come 30 a second, in the
    random gaps of a Poisson process. `on_progress(done, total, what)`. An interrupt ends it and leaves
    nothing. Raises RequestError for an unknown name, SpecError for the manifests' mistakes, and the first
    error where nothing could be measured; other failures are in the result.
    """
    texts = load_manifests(manifests or (LAB,))
    plan = AlgorithmsPlan(texts, tuple(dict.fromkeys(names)), dict(traffic), seed)
    planned = plan_experiments(plan)
    outcomes = run_all([experiment for _, experiment in planned], on_progress)
    errors = [one for one in outcomes if isinstance(one, LabError)]
    if len(errors) == len(outcomes):
        raise errors[0]
    rows = tuple(
        AlgorithmsRow(kind, replace(one.run, flows=()), one.guest, load_1m())
        for (kind, _), one in zip(planned, outcomes, strict=True)
        if not isinstance(one, LabError)
    )
    return AlgorithmsResult(plan, rows, tuple(error.message for error in errors))


def plan_experiments(plan: AlgorithmsPlan) -> tuple[tuple[str, Experiment], ...]:
    """Return each kind of traffic with its experiment, a kind's algorithms side by side.

    Raises RequestError, with what may be asked.
    """
    known = (*MODES, *SCHEDULERS)
    unknown = [one for one in plan.algorithms if one not in known]
    if unknown or not plan.algorithms or not plan.traffic:
        missing = "no algorithm is named" if not plan.algorithms else "no traffic is given"
        raise RequestError(
            f"no algorithm is called {unknown[0]!r}" if unknown else missing,
            todo=f"use some of: {', '.join(known)}",
        )
    return tuple(
        (
            kind,
            Experiment(
                plan.manifests,
                "ipvs" if name in SCHEDULERS else name,
                name if name in SCHEDULERS else "rr",
                workload=workload,
                seed=plan.seed,
                clock="virtual",
            ),
        )
        for kind, workload in plan.traffic.items()
        for name in plan.algorithms
    )
