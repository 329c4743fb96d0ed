"""What can be said about runs: names, shares, evenness, units. Figures, tables and sentences rest on it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.measure.records import Clock, RunResult

UNLIKELY_P = 1e-3
IMPOSSIBLE_P = 1e-6


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of time and how many microseconds it has."""

    name: str
    us: float

    def number(self, latency_us: float) -> str:
        """Return `latency_us` in this unit with three digits or more: "0.420", "57.1", "1240"."""
        value = latency_us / self.us
        size = abs(value)
        return f"{value:.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f}"

    def text(self, latency_us: float) -> str:
        """Return the number with its unit: "57.1 ms"."""
        return f"{self.number(latency_us)} {self.name}"


UNITS = (Unit("s", 1e6), Unit("ms", 1e3), Unit("µs", 1.0))


def unit_for(latencies_us: Iterable[float]) -> Unit:
    """Return the unit in which most of these latencies are at least 1: one unit for a whole table."""
    ordered = sorted(latencies_us)
    middle = ordered[(len(ordered) - 1) // 2] if ordered else 0.0
    return next((unit for unit in UNITS if middle >= unit.us), UNITS[-1])


def run_name(run: RunResult) -> str:
    """Return what distinguishes a run in a comparison: "ipvs rr"."""
    return f"{run.mode} {run.algorithm}"


def run_names(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """Return one name for each run; those that share a name are numbered: "ipvs rr", "ipvs rr (2)"."""
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for run in runs:
        key = (service_name(run), run_name(run))
        seen[key] += 1
        names.append(key[1] if seen[key] == 1 else f"{key[1]} ({seen[key]})")
    return tuple(names)


def service_name(run: RunResult) -> str:
    """Return the Service port a run asked: "default/web:80 TCP"."""
    return f"{run.service} {run.protocol}"


def by_service(runs: Iterable[RunResult]) -> Mapping[str, tuple[RunResult, ...]]:
    """Return the runs of each Service port, both in order of appearance."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(service_name(run), []).append(run)
    return {service: tuple(group) for service, group in groups.items()}


def by_clock(runs: Iterable[RunResult]) -> Mapping[Clock, tuple[RunResult, ...]]:
    """Return the runs of each clock, in order of appearance."""
    groups: dict[Clock, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(run.clock, []).append(run)
    return {clock: tuple(group) for clock, group in groups.items()}


def same_clock(runs: Sequence[RunResult]) -> Clock:
    """Return the one clock of all runs.

    Raises RequestError if there is no run, or if real and virtual time are mixed: a virtual latency is made
    of modelled delays only, a real one also of this machine's own work, so that one axis for both would
    compare nothing.
    """
    if not runs:
        raise RequestError("there is nothing to chart: no run was given", todo="give at least one RunResult")
    clocks = tuple(by_clock(runs))
    if len(clocks) > 1:
        raise RequestError(
            "runs in real time and runs in virtual time do not belong in one chart",
            where=", ".join(f"{run_name(run)}: {run.clock}" for run in runs),
            todo='make one chart of the runs with clock == "real" and one of those with clock == "virtual"',
        )
    return clocks[0]


def pods_of(runs: Iterable[RunResult]) -> tuple[str, ...]:
    """Return every pod that answered or was expected to, as `namespace/name`; web-2 stands before web-10."""
    pods = {pod for run in runs for pod in (*run.answers, *(run.expected_share or ()))}
    return tuple(sorted(pods, key=_natural))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def short_pod_names(pods: Sequence[str], limit: int = 12) -> tuple[str, ...]:
    """Return the pods' names without the namespace and the long beginning that they all share."""
    namespaces = {pod.partition("/")[0] for pod in pods}
    names = [pod.partition("/")[2] for pod in pods] if len(namespaces) == 1 else list(pods)
    if len(names) < 2 or max(map(len, names)) <= limit:
        return tuple(names)
    shared = _shared_beginning(names)
    return tuple(f"…{name[len(shared) :]}" if shared else name for name in names)


def _shared_beginning(names: Sequence[str]) -> str:
    low, high = min(names), max(names)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low.rfind("-", 0, same) + 1]


def shares(run: RunResult, pods: Iterable[str]) -> tuple[float, ...]:
    """Return each pod's part of the answered connections, 0 to 1 (all 0 if nothing was answered)."""
    return tuple(run.answers.get(pod, 0) / run.answered if run.answered else 0.0 for pod in pods)


def spread(run: RunResult, pods: Sequence[str]) -> float:
    """Return the largest share minus the smallest: 0 is even, 1 is everything at one of several pods."""
    parts = shares(run, pods)
    return max(parts) - min(parts) if parts else 0.0


def answers_range(run: RunResult, pods: Sequence[str]) -> str:
    """Return how many connections the pods got: "75 each", or fewest to most: "12 to 140"."""
    counts = [run.answers.get(pod, 0) for pod in pods] or [0]
    return f"{counts[0]} each" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def p_text(run: RunResult) -> str:
    """Return the chi-square p value as a table shows it: "0.43", "< 0.000001", "-" where there is none."""
    if run.p_value is None:
        return "-"
    return (
        "< 0.000001" if run.p_value < IMPOSSIBLE_P else f"{run.p_value:.{2 if run.p_value >= 0.01 else 6}f}"
    )


def as_expected(run: RunResult) -> str:
    """Return the verdict: "yes", "unlikely" (p < 0.001), "no" (p < 0.000001), "-" without expectation."""
    if run.expected_share is None or run.p_value is None:
        return "-"
    if run.p_value < IMPOSSIBLE_P:
        return "no"
    return "unlikely" if run.p_value < UNLIKELY_P else "yes"


def listing(names: Sequence[str], limit: int = 4) -> str:
    """Return names as prose: "a", "a and b", "a, b and c", "a, b, c, d and 3 more"."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return "1 pod", "2 pods", "2 addresses"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
