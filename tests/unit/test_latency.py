"""Quantiles and their intervals."""

import random

import pytest

from labkit.measure.latency import beta_cumulative, latency_quantiles, quantile_ranks
from labkit.measure.records import Quantile


def test_no_samples_give_no_quantiles():
    assert latency_quantiles([]) == {}


def test_one_sample_is_every_quantile():
    assert set(latency_quantiles([7.0]).values()) == {Quantile(7.0, 7.0, 7.0)}


def test_quantiles_of_one_to_a_hundred_are_themselves():
    quantiles = latency_quantiles(map(float, range(100, 0, -1)))
    assert {name: one.value for name, one in quantiles.items()} == {"p05": 5, "p50": 50, "p95": 95, "p99": 99}


@pytest.mark.parametrize(
    ("x", "a", "b", "value"),
    # P(Bin(n, x) >= k) = I(x; k, n - k + 1), binomial tails by hand.
    [(0.5, 1, 1, 0.5), (0.5, 2, 1, 0.25), (0.5, 1, 2, 0.75), (0.3, 1, 3, 1 - 0.7**3), (0.9, 3, 1, 0.9**3)],
)
def test_the_beta_function_is_a_binomial_tail(x, a, b, value):
    assert beta_cumulative(x, a, b) == pytest.approx(value, abs=1e-12)


def test_intervals_of_the_median_are_those_of_the_binomial_distribution():
    # 300 draws at 1/2: 150 -+ 1.96 * sqrt(75), that is 133 and 167.
    assert quantile_ranks(300, 0.5) == (150, 133, 167)


def test_the_interval_is_what_resampling_gives():
    resamples = 4000

    draw = random.Random(5)
    count, rank = 60, 57
    found = sorted(sorted(draw.choices(range(1, count + 1), k=count))[rank - 1] for _ in range(resamples))
    low, high = found[round(resamples * 0.025)], found[round(resamples * 0.975)]
    assert quantile_ranks(count, 0.95)[0] == rank
    assert abs(quantile_ranks(count, 0.95)[1] - low) <= 1
    assert abs(quantile_ranks(count, 0.95)[2] - high) <= 1
