"""04-weights: a function that gives pods of unequal strength the weights that `wrr` should have.

It is tried on drawn sets of pods, in virtual time: requests come at random, at three quarters of what all
pods can do together, so that a pod with too much weight has a queue that grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Function
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text
from labkit.traffic.workload import MOST_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from labkit.grade.exercise import Given
    from labkit.measure.records import RunResult

NAME = "04-weights"
CALLS = 600
LOAD = 0.75
MOST_OFF = 0.15  # of a pod's share; whole weights up to 10 reach that for every set that is drawn
MOST_SLOWER = 1.5
SERVICE_MS = (2, 4, 5, 10, 20, 40)


def plan_draw(random: Random) -> Given:
    """Return three or four pods of at least two strengths, by name and as a manifest."""
    times = random.sample(SERVICE_MS, random.randint(2, 3))
    times += [random.choice(times)]
    random.shuffle(times)
    service_ms = {f"web-{number}": time for number, time in enumerate(times, 1)}
    pods = (clusters.pod(name, "web", service_ms=time) for name, time in service_ms.items())
    return {
        "service_ms": service_ms,
        "manifest": clusters.joined(clusters.service("web", cluster_ip="10.96.0.10"), *pods),
    }


def judge(given: Given, weights: Any) -> Iterator[Finding]:
    """Program the weights, send requests, and compare with weights that follow the pods' strength."""
    service_ms: Mapping[str, float] = given["service_ms"]
    why = _refusal(service_ms, weights)
    yield _finding(
        "weights that IPVS takes", 1.0, "a whole number from 1 for every pod", why or f"{weights}", why
    )
    if why:
        yield _finding("shares", 2.0, "each pod's part of what all can do together", "not tried", why)
        yield _finding("waiting", 2.0, "hardly any queue", "not tried", why)
        return
    best = {pod: round(1000 / time) for pod, time in service_ms.items()}
    with Lab.open(Text(NAME, given["manifest"])) as lab:
        asked, ideal = (_measure(lab, service_ms, chosen) for chosen in (weights, best))
    yield _shares(asked, service_ms)
    yield _waiting(asked, ideal)


def _refusal(service_ms: Mapping[str, float], weights: Any) -> str:
    if not isinstance(weights, dict):
        return f"return a dictionary, a weight for each of {', '.join(service_ms)}"
    if lacking := set(service_ms) - set(weights):
        return f"there is no weight for {', '.join(sorted(lacking))}"
    if set(weights) - set(service_ms):
        return "there is a weight for what is no pod"
    if not all(type(weight) is int and 1 <= weight <= MOST_WEIGHT for weight in weights.values()):
        return f"a weight is a whole number from 1 to {MOST_WEIGHT}"
    return ""


def _measure(lab: Lab, service_ms: Mapping[str, float], weights: Mapping[str, int]) -> RunResult:
    lab.reset("ipvs", "wrr")
    lab.switch("ipvs", "wrr", weights)
    rate_per_s = LOAD * sum(1000 / time for time in service_ms.values())
    return lab.measure("web", connections=CALLS, arrivals="poisson", rate_per_s=rate_per_s, timeout_s=60.0)


def _shares(run: RunResult, service_ms: Mapping[str, float]) -> Finding:
    strength = {pod: 1 / time for pod, time in service_ms.items()}
    fair = {pod: CALLS * value / sum(strength.values()) for pod, value in strength.items()}
    counts = {pod: run.answers.get(f"default/{pod}", 0) for pod in service_ms}
    off = max(abs(counts[pod] / fair[pod] - 1) for pod in fair)
    points = 2.0 if off <= MOST_OFF else 1.0 if _ranked(counts) == _ranked(fair) else 0.0
    part = " (1 point for the right order)" if points == 1 else ""
    return Finding(
        "shares",
        points,
        2.0,
        f"each within {MOST_OFF:.0%} of " + ", ".join(f"{pod} {count:.0f}" for pod, count in fair.items()),
        ", ".join(f"{pod} {count}" for pod, count in counts.items()) + part,
        "" if points == 2 else "a pod that needs half the time can do twice the work",
    )


def _waiting(asked: RunResult, ideal: RunResult) -> Finding:
    seen_ms, best_ms = (run.latency_us["response"]["p95"].value / 1000 for run in (asked, ideal))
    is_good = seen_ms <= MOST_SLOWER * best_ms
    return Finding(
        "waiting",
        2.0 if is_good else 0.0,
        2.0,
        f"95 % of the answers within {MOST_SLOWER * best_ms:.0f} ms: {MOST_SLOWER} times the best weights'",
        f"{seen_ms:.0f} ms",
        "" if is_good else "find the pod that gets more than it can do: its queue grows",
    )


def _ranked(values: Mapping[str, float]) -> list[frozenset[str]]:
    """Return the names in the order of their values; those within a few per cent share a place."""
    places: list[tuple[float, set[str]]] = []
    for name, value in sorted(values.items(), key=lambda entry: entry[1]):
        if places and value <= places[-1][0] * 1.05 + 1:
            places[-1][1].add(name)
        else:
            places.append((value, {name}))
    return [frozenset(names) for _, names in places]


def _finding(part: str, most: float, expected: str, seen: str, todo: str) -> Finding:
    return Finding(part, 0.0 if todo else most, most, expected, seen, todo)


EXERCISE = Exercise(NAME, 5.0, plan_draw, Function("weights_for", ("service_ms",)), judge)
