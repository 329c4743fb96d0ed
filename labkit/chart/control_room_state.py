"""What a control room knows: the rounds of traffic so far, the pods' states, the Services' names. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.measure.experiment import plan_service_targets
from labkit.measure.targets import find_service_target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from labkit.chart.topology_plan import PodLook
    from labkit.measure.records import RunResult
    from labkit.spec.model import ClusterSpec

ROUNDS_KEPT = 60
ROUNDS_FOR_SHARES = 5  # so few that a change is soon seen


@dataclass(frozen=True, slots=True)
class Round:
    """One round of traffic: who answered, how many failed, response times (None: nobody answered)."""

    number: int
    algorithm: str
    answers: Mapping[str, int]
    failed: int
    p50_us: float | None
    p95_us: float | None


def next_round(rounds: Sequence[Round], run: RunResult) -> tuple[Round, ...]:
    """Return the rounds with what was measured now as the last; the oldest are forgotten."""
    number = rounds[-1].number + 1 if rounds else 1
    times = run.latency_us.get("response", {})
    p50, p95 = times.get("p50"), times.get("p95")
    added = Round(
        number,
        f"{run.mode} {run.algorithm}",
        run.answers,
        sum(run.errors.values()),
        p50.value if p50 else None,
        p95.value if p95 else None,
    )
    return (*rounds, added)[-ROUNDS_KEPT:]


def shares_of(rounds: Sequence[Round], pods: Collection[str]) -> Mapping[str, float]:
    """Return each pod's share, 0 to 1, of what was answered in the last few rounds; {} before the first."""
    answered: Counter[str] = Counter()
    for one in rounds[-ROUNDS_FOR_SHARES:]:
        answered.update(one.answers)
    total = answered.total()
    return {pod: answered[pod] / total for pod in {*pods, *answered}} if total else {}


def pod_looks(
    cluster: ClusterSpec, deaths: Mapping[str, PodLook], endpoints: Collection[str]
) -> Mapping[str, PodLook]:
    """Return how pods look that are not simply ready: how they died, or what their endpoints are.

    `endpoints` are those that a Service has had: one that is in no slice any more was removed.
    """
    looks: dict[str, PodLook] = dict.fromkeys(endpoints, "removed")
    for piece in cluster.slices:
        for endpoint in piece.endpoints:
            ready: PodLook = "ready" if endpoint.ready else "not ready"
            looks[endpoint.pod] = "terminating" if endpoint.terminating else ready
    return {**looks, **deaths}


def endpoints_of(cluster: ClusterSpec) -> frozenset[str]:
    """Return the pods (`namespace/name`) that stand in a slice."""
    return frozenset(one.pod for piece in cluster.slices for one in piece.endpoints if one.pod)


def service_names(cluster: ClusterSpec) -> Mapping[str, tuple[str, ...]]:
    """Return the Service ports by the shortest name that `lab.measure` knows each by, with their pods."""
    return {
        _shortest(cluster, one.service, one.target.protocol): one.pods
        for one in plan_service_targets(cluster)
    }


def _shortest(cluster: ClusterSpec, service: str, protocol: str) -> str:
    key = service.rpartition(":")[0]
    for name in (key.removeprefix("default/"), service.removeprefix("default/")):
        try:
            find_service_target(cluster, name)
        except RequestError:
            continue
        return name
    return f"{service.removeprefix('default/')}/{protocol}"
