"""Latency: quantiles of samples, each with its 95 % bootstrap interval."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.measure.records import Quantile

if TYPE_CHECKING:
    from collections.abc import Iterable

QUANTILES = {"p05": 0.05, "p50": 0.50, "p95": 0.95, "p99": 0.99}
TAIL = 0.025
CONVERGED = 1e-12
MOST_STEPS = 10_000


def latency_quantiles(samples_us: Iterable[float]) -> dict[str, Quantile]:
    """Return p05, p50, p95 and p99 of samples in microseconds; empty where there are no samples.

    A quantile is the smallest sample that at least this part of all samples does not exceed.
    """
    ordered = sorted(samples_us)
    count = len(ordered)
    return {
        name: Quantile(*(ordered[rank - 1] for rank in quantile_ranks(count, part)))
        for name, part in QUANTILES.items()
        if count
    }


@lru_cache(maxsize=256)
def quantile_ranks(count: int, part: float) -> tuple[int, int, int]:
    """Return the ranks (1 to `count`) of a quantile among ordered samples and of its interval's ends.

    The interval is the bootstrap's percentile interval, without resampling: a resample's quantile of rank k
    is at most the j-th sample exactly if at least k of its `count` draws are, which has probability
    P(Bin(n, j/n) >= k) = I(j/n; k, n - k + 1). The bootstrap's distribution is thus known (Efron 1979;
    Maritz and Jarrett 1978), and its 2.5 % and 97.5 % points are found by bisection.
    """
    rank = max(1, math.ceil(round(count * part, 9)))
    return rank, _rank_at(TAIL, count, rank), _rank_at(1 - TAIL, count, rank)


def _rank_at(probability: float, count: int, rank: int) -> int:
    low, high = 1, count
    while low < high:
        middle = (low + high) // 2
        if beta_cumulative(middle / count, rank, count - rank + 1) >= probability:
            high = middle
        else:
            low = middle + 1
    return low


def beta_cumulative(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I(x; a, b) for 0 <= x <= 1 and a, b > 0.

    Continued fraction of Abramowitz and Stegun, 26.5.8, by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cumulative(1 - x, b, a)
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(logarithm) / a * _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    c = 1.0
    d = fraction = 1 / (1 - (a + b) * x / (a + 1))
    for step in range(1, MOST_STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for numerator in (even, odd):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            fraction *= c * d
        if abs(c * d - 1) < CONVERGED:
            break
    return fraction
