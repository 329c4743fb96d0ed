"""What a pod was given to do, beside the time it had: from 1 on its queue grows without end."""

import pytest

from labkit.measure.load import arrival_window_s, is_overloaded, offered_load
from labkit.traffic.workload import Workload

UNEQUAL = Workload(arrivals="poisson", rate_per_s=60, service_ms={"d/a": 40.0, "*": 5.0})


def test_a_window_has_a_gap_for_each_arrival():
    assert arrival_window_s([0.0, 1e6, 3e6]) == 4.5
    assert arrival_window_s([7.0]) == arrival_window_s([]) == 0.0


def test_load_is_the_work_that_came_by_the_time_it_came_in():
    load = offered_load(UNEQUAL, {"d/a": 100, "d/b": 200}, 5.0)
    assert load == pytest.approx({"d/a": 0.8, "d/b": 0.2})
    assert not is_overloaded(load)


def test_a_pod_is_overloaded_when_its_work_takes_as_long_as_it_came_in():
    assert is_overloaded(offered_load(UNEQUAL, {"d/a": 125, "d/b": 0}, 5.0))
    assert not is_overloaded(offered_load(UNEQUAL, {"d/a": 124, "d/b": 900}, 5.0))


def test_closed_arrivals_overload_nobody():
    assert offered_load(Workload(service_ms={"*": 1000.0}), {"d/a": 300}, 1.0) == {}


def test_one_arrival_overloads_nobody():
    assert offered_load(UNEQUAL, {"d/a": 1}, 0.0) == {}
