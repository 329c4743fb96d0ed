"""What chance allows, against sums in exact fractions; and what it must find out."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.grade.expect import FALSE_FAIL, chance_range, expected_ranges, implausible


def tails(trials, share, allowed):
    """The exact probability of a count outside of `allowed`."""
    exact = Fraction(share)
    inside = sum(
        math.comb(trials, count) * exact**count * (1 - exact) ** (trials - count)
        for count in range(allowed.low, allowed.high + 1)
    )
    return 1 - inside


@given(st.integers(1, 120), st.floats(0.01, 0.99), st.sampled_from([1e-6, 1e-3, 0.05]))
def test_a_right_answer_fails_no_more_often_than_stated(trials, share, rate):
    assert tails(trials, share, chance_range(trials, share, rate)) <= rate * (1 + 1e-9)


@given(st.integers(20, 120), st.floats(0.1, 0.9))
def test_the_range_is_no_wider_than_it_must_be(trials, share):
    allowed = chance_range(trials, share)
    for narrower in (
        type(allowed)(allowed.low + 1, allowed.high),
        type(allowed)(allowed.low, allowed.high - 1),
    ):
        assert tails(trials, share, narrower) > FALSE_FAIL / 2


@pytest.mark.parametrize(("share", "only"), [(0.0, 0), (1.0, 50)])
def test_certainty_has_one_count(share, only):
    allowed = chance_range(50, share)
    assert (allowed.low, allowed.high) == (only, only)
    assert str(allowed) == str(only)


def test_several_counts_share_one_rate():
    shares = dict.fromkeys("abcd", 0.25)
    ranges = expected_ranges(400, shares)
    assert sum(tails(400, 0.25, one) for one in ranges.values()) <= FALSE_FAIL


def test_what_is_implausible_is_named_and_strays_are():
    shares = dict.fromkeys("abc", 1 / 3)
    assert implausible({"a": 100, "b": 110, "c": 90}, shares) == {}
    assert set(implausible({"a": 200, "b": 60, "c": 40}, shares)) == {"a", "c"}
    assert set(implausible({"a": 100, "b": 110, "c": 90, "stray": 1}, shares)) == {"stray"}
