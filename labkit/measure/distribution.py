"""Distribution: who answered how often, and whether chance explains it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVEN_ALGORITHMS = frozenset({"random", "rr"})
WEIGHTED_ALGORITHMS = frozenset({"wrr"})
CONVERGED = 1e-15
MOST_STEPS = 100_000


def shares(answers: Mapping[str, int]) -> dict[str, float]:
    """Return each pod's part of all answers, between 0 and 1; empty where nobody answered."""
    total = sum(answers.values())
    return {pod: count / total for pod, count in answers.items()} if total else {}


def expected_shares(
    algorithm: str, pods: Sequence[str], weights: Mapping[str, int]
) -> dict[str, float] | None:
    """Return the shares that an algorithm promises, None where they depend on more than chance and weights.

    `random` (iptables' statistic match, nftables' numgen) and `rr` treat all alike, `wrr` follows the weights
    (1 where none is given); a pod of weight 0 gets nothing from any IPVS scheduler.
    """
    if algorithm in EVEN_ALGORITHMS:
        chosen = {pod: min(weights.get(pod, 1), 1) if algorithm == "rr" else 1 for pod in pods}
    elif algorithm in WEIGHTED_ALGORITHMS:
        chosen = {pod: weights.get(pod, 1) for pod in pods}
    else:
        return None
    total = sum(chosen.values())
    return {pod: weight / total for pod, weight in chosen.items()} if total else None


def is_even(answers: Mapping[str, int], pods: Sequence[str]) -> bool:
    """Whether no two of `pods` differ by more than one answer, and nobody else answered."""
    counts = [answers.get(pod, 0) for pod in pods]
    return bool(counts) and max(counts) - min(counts) <= 1 and sum(counts) == sum(answers.values())


def chi_square_p(answers: Mapping[str, int], expected: Mapping[str, float]) -> float | None:
    """Return the probability that chance alone gives answers at least this far from `expected`.

    Pearson's chi-square test of goodness of fit. None where there is nothing to test: no answers, or one
    pod only. An answer from where none is expected has probability 0.
    """
    total = sum(answers.values())
    likely = {pod: share for pod, share in expected.items() if share > 0}
    if any(count and pod not in likely for pod, count in answers.items()):
        return 0.0
    if not total or len(likely) < 2:
        return None
    hopes = {pod: total * share for pod, share in likely.items()}
    distance = sum((answers.get(pod, 0) - hope) ** 2 / hope for pod, hope in hopes.items())
    return upper_gamma((len(likely) - 1) / 2, distance / 2)


def upper_gamma(a: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function Q(a, x) for a > 0, x >= 0.

    Abramowitz and Stegun, 6.5.29 (series, for x < a + 1) and 6.5.31 (continued fraction, by Lentz's method).
    """
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return max(0.0, 1.0 - scale * _gamma_series(a, x))
    return scale * _gamma_fraction(a, x)


def _gamma_series(a: float, x: float) -> float:
    term = total = 1 / a
    for step in range(1, MOST_STEPS):
        term *= x / (a + step)
        total += term
        if term < total * CONVERGED:
            break
    return total


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c = math.inf
    d = fraction = 1 / b
    for step in range(1, MOST_STEPS):
        numerator = step * (a - step)
        b += 2
        d = 1 / (b + numerator * d)
        c = b + numerator / c
        fraction *= c * d
        if abs(c * d - 1) < CONVERGED:
            break
    return fraction
