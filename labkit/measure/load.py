"""Load: what pods were given to do, beside the time they had to do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.traffic.workload import Workload


def arrival_window_s(started_us: Sequence[float]) -> float:
    """Return how long arrivals went on: as many mean gaps between starts as there were arrivals, in seconds.

    From the first start to the last there is one gap less. 0 where there are not two.
    """
    if len(started_us) < 2:
        return 0.0
    span_us = max(started_us) - min(started_us)
    return span_us * len(started_us) / (len(started_us) - 1) / 1e6


def offered_load(workload: Workload, received: Mapping[str, int], window_s: float) -> dict[str, float]:
    """Return each pod's utilisation: the seconds of work it was given, by the seconds it had (1 = full).

    `received` counts the requests that joined each pod's queue in `window_s` seconds, answered or not: those
    that were given up on are work, too. Closed arrivals wait for the pods and so cannot overload any: {}.
    """
    if workload.arrivals == "closed" or not window_s:
        return {}
    each_s = {pod: workload.service_ms_of(pod) * workload.mean_times / 1000 for pod in received}
    return {pod: count * each_s[pod] / window_s for pod, count in received.items()}


def is_overloaded(load: Mapping[str, float]) -> bool:
    """Whether a pod was offered as much as it can serve, or more.

    A queue with one server has a steady state only below a utilisation of 1 (Loynes 1962; Kleinrock, Queueing
    Systems I, 1975, 2.1); else it grows as long as requests come, and the latency says only for how long they
    did.
    """
    return any(utilisation >= 1 for utilisation in load.values())
