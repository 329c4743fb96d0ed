"""Which processor a guest is to be on: another one only where it waits and that one is idle."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.guest.placement import Times, choose_processor

PROCESSORS = st.frozensets(st.integers(0, 7), min_size=1)
SHARES = st.floats(0, 1, allow_nan=False)
START = Times(100.0, 5.0, 1.0, dict.fromkeys(range(8), 50.0))


def after_a_second(waited, idle):
    return Times(101.0, 5.4, 1.0 + waited, {one: 50.0 + share for one, share in idle.items()})


@given(SHARES, st.dictionaries(st.integers(0, 7), SHARES), st.integers(0, 7), PROCESSORS)
def test_a_guest_moves_only_to_what_is_allowed_and_idle_and_only_when_it_waits(
    waited, idle, current, allowed
):
    chosen = choose_processor(START, after_a_second(waited, idle), current, allowed)
    if chosen != current:
        assert chosen in allowed
        assert waited >= 0.099
        assert idle[chosen] >= 0.499
        assert idle[chosen] == max(idle[one] for one in idle.keys() & allowed - {current})


def test_a_guest_that_waits_goes_to_the_idlest():
    assert (
        choose_processor(START, after_a_second(0.4, {0: 0.0, 1: 0.6, 2: 0.9}), 0, frozenset({0, 1, 2})) == 2
    )


def test_a_guest_that_does_not_wait_stays():
    assert choose_processor(START, after_a_second(0.01, {0: 0.0, 1: 1.0}), 0, frozenset({0, 1})) == 0


def test_two_looks_at_one_moment_tell_nothing():
    assert choose_processor(START, START, 0, frozenset({0, 1})) == 0
