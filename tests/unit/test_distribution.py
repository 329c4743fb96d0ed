"""Shares, what algorithms promise, and whether chance explains the difference."""

import pytest

from labkit.measure.distribution import (
    chi_square_p,
    expected_shares,
    is_even,
    shares,
    upper_gamma,
)

PODS = ("d/a", "d/b", "d/c")


@pytest.mark.parametrize(
    ("degrees", "statistic", "probability"),
    # Critical values of the chi-square distribution, NIST/SEMATECH e-Handbook, table 1.3.6.7.4.
    [
        (1, 3.841, 0.05),
        (1, 10.828, 0.001),
        (2, 5.991, 0.05),
        (3, 7.815, 0.05),
        (3, 6.251, 0.10),
        (10, 18.307, 0.05),
        (10, 29.588, 0.001),
        (50, 67.505, 0.05),
        (100, 124.342, 0.05),
    ],
)
def test_tail_probabilities_are_the_tabled_ones(degrees, statistic, probability):
    assert upper_gamma(degrees / 2, statistic / 2) == pytest.approx(probability, rel=2e-3)


def test_fair_counts_are_likely_and_lopsided_ones_are_not():
    even = dict.fromkeys(PODS, 1 / 3)
    assert chi_square_p({"d/a": 100, "d/b": 100, "d/c": 100}, even) == 1.0
    assert 0.05 < chi_square_p({"d/a": 110, "d/b": 95, "d/c": 95}, even) < 0.95
    assert chi_square_p({"d/a": 300}, even) < 1e-100


def test_there_is_nothing_to_test_without_answers_or_with_one_pod():
    assert chi_square_p({}, dict.fromkeys(PODS, 1 / 3)) is None
    assert chi_square_p({"d/a": 10}, {"d/a": 1.0}) is None


def test_an_answer_from_where_none_is_expected_is_no_chance():
    assert chi_square_p({"d/a": 10, "d/x": 1}, {"d/a": 0.5, "d/b": 0.5}) == 0.0
    assert chi_square_p({"d/a": 10, "d/b": 1}, {"d/a": 1.0, "d/b": 0.0}) == 0.0


def test_algorithms_promise_what_kube_proxy_and_ipvs_document():
    weights = {"d/a": 3, "d/b": 1, "d/c": 0}
    assert expected_shares("random", PODS, weights) == dict.fromkeys(PODS, 1 / 3)
    assert expected_shares("rr", PODS, {}) == dict.fromkeys(PODS, 1 / 3)
    assert expected_shares("rr", PODS, weights) == {"d/a": 0.5, "d/b": 0.5, "d/c": 0}
    assert expected_shares("wrr", PODS, weights) == {"d/a": 0.75, "d/b": 0.25, "d/c": 0}
    assert expected_shares("wrr", PODS, {"d/a": 2}) == {"d/a": 0.5, "d/b": 0.25, "d/c": 0.25}
    assert expected_shares("wrr", PODS, dict.fromkeys(PODS, 0)) is None
    assert expected_shares("rr", (), {}) is None
    for scheduler in ("lc", "wlc", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "lblc", "lblcr", "twos"):
        assert expected_shares(scheduler, PODS, weights) is None


def test_even_means_within_one_of_each_other_and_nobody_else():
    assert is_even({"d/a": 34, "d/b": 33, "d/c": 33}, PODS)
    assert not is_even({"d/a": 35, "d/b": 33, "d/c": 33}, PODS)
    assert not is_even({"d/a": 10, "d/b": 10, "d/x": 1}, PODS[:2])
    assert not is_even({"d/a": 2}, PODS)
    assert not is_even({}, ())


def test_shares_add_up():
    assert shares({"d/a": 3, "d/b": 1}) == {"d/a": 0.75, "d/b": 0.25}
    assert shares({}) == {}
