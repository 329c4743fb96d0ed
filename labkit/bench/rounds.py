"""Rounds: everybody in turn, in another order each time, so that what the machine does meanwhile hits all.

Then the arithmetic from samples to a row. Pure but for the contenders that are called.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from labkit.bench.row import Row, Verdict
from labkit.errors import CapabilityError, GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.bench.benchmark import Benchmark, Contenders, Measure
    from labkit.bench.row import Better

    OnRound = Callable[[int, str], None]

OURS, LIMIT = "ours", "limit"
RESAMPLES, RESAMPLING_SEED, LEAST_ROUNDS, TAIL = 2000, 1, 5, 0.025


@dataclass(frozen=True, slots=True)
class Samples:
    """The figures of all rounds that count, in their order, by contender; who is missing, and why."""

    ours: tuple[float, ...]
    limit: tuple[float, ...]
    peers: Mapping[str, tuple[float, ...]]
    missing: Mapping[str, str]


def measure_rounds(benchmark: Benchmark, contenders: Contenders, on_round: OnRound) -> Samples:
    """Let the contenders do their work in turn, round after round, and return what they measured.

    Every round begins with the next contender. `on_round(round, who)` is called before each; rounds count
    from 0, warm-ups included. Raises what the contenders raise, but a limit or peer that raises
    CapabilityError is out, and GuestError for a figure that none can be compared with.
    """
    measures = name_measures(contenders)
    taken: dict[str, list[float]] = {name: [] for name in measures}
    missing: dict[str, str] = {}
    for number in range(benchmark.warm_ups + benchmark.rounds):
        counts = number >= benchmark.warm_ups
        for name in order_of_round(tuple(measures), number):
            done = benchmark.peer_rounds is not None and len(taken[name]) >= benchmark.peer_rounds
            if name in missing or (done and name not in {OURS, LIMIT}):
                continue
            on_round(number, name)
            try:
                value = require_figure(measures[name](), name)
            except CapabilityError as error:
                if name == OURS:
                    raise
                missing[name] = error.message
            else:
                taken[name] += [value] if counts else []
    peers = {name: tuple(taken[name]) for name in contenders.peers if name not in missing}
    return Samples(tuple(taken[OURS]), tuple(taken.get(LIMIT, ())), peers, missing)


def require_figure(value: float, who: str) -> float:
    """Return `value`; raise GuestError where it is not above zero and finite: such work was not done."""
    if not 0 < value < math.inf:
        raise GuestError(f"{who} measured {value:g}, which nothing can be compared with")
    return value


def name_measures(contenders: Contenders) -> Mapping[str, Measure]:
    """Return who is measured, by name: ours, the limit where there is one, the peers."""
    limit = {LIMIT: contenders.limit} if contenders.limit is not None else {}
    return {OURS: contenders.ours, **limit, **contenders.peers}


def order_of_round(names: Sequence[str], number: int) -> tuple[str, ...]:
    """Return who comes when: the next one first in every round."""
    first = number % len(names)
    return (*names[first:], *names[:first])


def summarise(benchmark: Benchmark, samples: Samples) -> Row:
    """Return a benchmark's row from its samples."""
    better, ours = benchmark.better, median(samples.ours)
    limit = median(samples.limit) if samples.limit else None
    peers = {name: median(values) for name, values in samples.peers.items()}
    row = Row(
        name=benchmark.name,
        work=benchmark.work,
        unit=benchmark.unit,
        better=better,
        ours=ours,
        limit=limit,
        peers=peers,
        of_limit=None if limit is None else how_far_behind(ours, limit, better),
        ahead_of={name: how_far_behind(value, ours, better) for name, value in peers.items()},
        rounds=len(samples.ours),
        spread=(min(samples.ours), max(samples.ours)),
        of_limit_spread=_spread_of_ratios(samples, better),
        of_limit_interval=interval_of_ratio(samples.ours, samples.limit, better),
        limit_is=benchmark.limit_is,
        missing=samples.missing,
        targets=(),
    )
    return replace(row, targets=tuple(_judge(benchmark, row)))


def how_far_behind(one: float, other: float, better: Better) -> float:
    """Return how many times worse `one` is than `other`: above 1 where the other is better."""
    return one / other if better == "lower" else other / one


def interval_of_ratio(ours: Sequence[float], limit: Sequence[float], better: Better) -> tuple[float, ...]:
    """Return the 95 % bootstrap interval of how many times the limit ours is, between medians.

    Rounds are drawn with replacement, both figures of a round together: what the machine did in that round
    hit both (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3: the percentile interval). The
    draws are seeded; fewer than five rounds say nothing.
    """
    rounds = min(len(ours), len(limit))
    if rounds < LEAST_ROUNDS:
        return ()
    chance = random.Random(RESAMPLING_SEED)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(range(rounds), k=rounds)
        ratios.append(
            how_far_behind(median(ours[one] for one in drawn), median(limit[one] for one in drawn), better)
        )
    ratios.sort()
    return ratios[round(RESAMPLES * TAIL)], ratios[round(RESAMPLES * (1 - TAIL)) - 1]


def _spread_of_ratios(samples: Samples, better: Better) -> tuple[float, ...]:
    pairs = zip(samples.ours, samples.limit, strict=False)
    ratios = [how_far_behind(ours, limit, better) for ours, limit in pairs]
    return (min(ratios), max(ratios)) if ratios else ()


def _judge(benchmark: Benchmark, row: Row) -> list[Verdict]:
    verdicts = []
    for target in benchmark.targets:
        measured = target.measured(row)
        holds = None if measured is None else target.holds(measured)
        verdicts.append(Verdict(str(target), measured, holds))
    return verdicts
