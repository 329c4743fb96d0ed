"""What is measured for the ledger in virtual time: who waits with unequal pods, what a dead pod costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.figures import Figure, exact
from labkit.claims.plan import ALGORITHMS
from labkit.experiments.algorithms import TRAFFIC
from labkit.outage import Outage, perform
from labkit.performing import Experiment
from labkit.performing import perform as perform_experiment
from labkit.spec.cluster import read_cluster
from labkit.spec.events import Event
from labkit.traffic.retrying import CallPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = "one at a time"
DIES_S, REMOVED_S, CALLS = 0.5, 60.5, 120
ONCE = CallPlan(calls=CALLS, every_s=1.0, timeout_s=1.0, retries=0)


def measure_unequal() -> Iterator[Figure]:
    """Send the same requests to pods that need 5, 10 and 40 ms."""
    for name, (mode, scheduler) in ALGORITHMS.items():
        experiment = Experiment.of("unequal", mode=mode, scheduler=scheduler, workload=TRAFFIC[KIND])
        cluster = read_cluster(experiment.manifests)
        p99 = perform_experiment(experiment, cluster).run.latency_us["response"]["p99"]
        yield Figure(
            f"unequal pods, {name}: p99 of the response",
            p99.value / 1000,
            p99.low / 1000,
            p99.high / 1000,
            "ms",
        )


def measure_dead() -> Iterator[Figure]:
    """Call once a second, without retries; a pod of three dies, a minute later its endpoint is removed."""
    events = (Event(DIES_S, "web-1", "refuses"), Event(REMOVED_S, "web-1", "removed"))
    for name, (mode, scheduler) in ALGORITHMS.items():
        seen = perform(
            Outage.of("dead-backend", mode=mode, scheduler=scheduler, plan=ONCE, events=events)
        ).calls
        failed = [call.at_s for call in seen if not call.is_answered]
        before = sum(DIES_S < at < REMOVED_S for at in failed)
        yield exact(f"{name}: of 60 calls failed while the dead pod was an endpoint", before)
        last = sum(REMOVED_S - 20 < at < REMOVED_S for at in failed)
        yield exact(f"{name}: of the last 20 of them", last)
        yield exact(f"{name}: of 59 calls failed after it was removed", sum(at > REMOVED_S for at in failed))
