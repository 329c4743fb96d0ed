"""What chance allows: predicates that fail a right answer at most once in a million.

Counts of independent choices are binomial. The tests are exact (tails are summed, nothing is approximated),
and where several counts are looked at the rate is divided among them (Bonferroni), so that FALSE_FAIL bounds
all of them together, whatever their dependence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FALSE_FAIL = 1e-6
SUSPICION = 0.1  # so seldom does a right answer ask for a second, larger sample


@dataclass(frozen=True, slots=True)
class Range:
    """Counts from `low` to `high`, both included."""

    low: int
    high: int

    def __contains__(self, count: int) -> bool:
        return self.low <= count <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@lru_cache(maxsize=256)
def chance_range(trials: int, share: float, rate: float = FALSE_FAIL) -> Range:
    """Return the counts that `trials` independent choices with probability `share` give, but for `rate`.

    Each end is the last count whose tail, itself included, is more likely than half of `rate`.
    """
    tail = rate / 2
    low, below = 0, _likelihood(0, trials, share)
    while below <= tail:
        low += 1
        below += _likelihood(low, trials, share)
    high, above = trials, _likelihood(trials, trials, share)
    while above <= tail:
        high -= 1
        above += _likelihood(high, trials, share)
    return Range(low, high)


def expected_ranges(trials: int, shares: Mapping[str, float], rate: float = FALSE_FAIL) -> dict[str, Range]:
    """Return the counts to be expected of each name; together they fail a right answer at most at `rate`."""
    return {name: chance_range(trials, share, rate / len(shares)) for name, share in shares.items()}


def implausible(
    counts: Mapping[str, int], shares: Mapping[str, float], rate: float = FALSE_FAIL
) -> dict[str, Range]:
    """Return the names whose counts chance does not explain, with what it would; empty where all are right.

    A name of which nothing is expected is one of them as soon as it has a count.
    """
    ranges = expected_ranges(sum(counts.values()), shares, rate)
    strays = {name: Range(0, 0) for name, count in counts.items() if count and name not in shares}
    return {name: one for name, one in ranges.items() if counts.get(name, 0) not in one} | strays


def _likelihood(count: int, trials: int, share: float) -> float:
    """Return the binomial probability of `count`, by logarithms of the gamma function."""
    if share <= 0 or share >= 1:
        return float(count == (trials if share >= 1 else 0))
    choices = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(choices + count * math.log(share) + (trials - count) * math.log1p(-share))
