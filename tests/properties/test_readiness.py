"""A kubelet's readiness, for any row of probe results."""

from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from labkit.spec.model import Probe
from labkit.traffic.readiness import after, settled, started

probes = st.builds(
    Probe,
    st.just("tcp"),
    st.just(8080),
    initial_delay_s=st.integers(0, 100),
    period_s=st.integers(1, 60),
    success_threshold=st.integers(1, 5),
    failure_threshold=st.integers(1, 5),
)
results = st.lists(st.booleans(), max_size=40)


def history(probe, given_results):
    """The readiness after each result, every probe answered when it is due."""
    states = [started(probe, 0.0)]
    for succeeded in given_results:
        states.append(after(states[-1], succeeded=succeeded, now_s=states[-1].due_s))
    return states


@given(probes, results)
def test_readiness_turns_exactly_when_a_row_of_results_is_long_enough(probe, given_results):
    """Worked out without the machine's own counting: from the rows of equal results alone."""
    expected, ready = [], False
    for succeeded, row in groupby(given_results):
        threshold = probe.success_threshold if succeeded else probe.failure_threshold
        for length, _ in enumerate(row, 1):
            ready = succeeded if length >= threshold else ready
            expected.append(ready)
    assert [state.is_ready for state in history(probe, given_results)] == [False, *expected]


@given(probes, results)
def test_probes_come_with_the_ticks_of_the_period_after_the_delay(probe, given_results):
    due = [state.due_s for state in history(probe, given_results)]
    assert all(time % probe.period_s == 0 for time in due)
    assert probe.initial_delay_s <= due[0] < probe.initial_delay_s + probe.period_s
    assert all(later - earlier == probe.period_s for earlier, later in pairwise(due))


@given(probes, st.floats(0, 1000))
def test_a_probe_that_takes_longer_than_a_period_leaves_ticks_out(probe, took_s):
    first = started(probe, 0.0)
    ended_s = first.due_s + took_s
    following = after(first, succeeded=True, now_s=ended_s)
    assert (following.due_s - first.due_s) % probe.period_s == 0
    assert ended_s < following.due_s <= ended_s + probe.period_s


@given(probes, st.booleans(), st.integers(1, 10))
def test_who_has_long_been_running_stays_what_it_was_until_a_row_is_long_enough(probe, was_ready, length):
    state = settled(probe, 0.0, is_ready=was_ready)
    for _ in range(length):
        state = after(state, succeeded=not was_ready, now_s=state.due_s)
    threshold = probe.failure_threshold if was_ready else probe.success_threshold
    assert state.is_ready == (was_ready if length < threshold else not was_ready)
