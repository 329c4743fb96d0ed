"""Workloads refuse nonsense, and plans follow from them."""

import dataclasses

import pytest

from labkit.errors import RequestError
from labkit.traffic.answer import service_times
from labkit.traffic.flow import Target, datagram_of, request_of
from labkit.traffic.workload import FlowPlan, Workload, plan_flows

ADDRESSES = tuple(f"10.244.0.{number}" for number in range(128, 192))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"connections": 0}, "connections=0"),
        ({"connections": 2.5}, "connections=2.5"),
        ({"connections": True}, "connections=True"),
        ({"concurrency": -1}, "concurrency=-1"),
        ({"clients": 0}, "clients=0"),
        ({"arrivals": "bursts"}, "bursts"),
        ({"arrivals": "poisson"}, "rate_per_s=0"),
        ({"rate_per_s": 10.0}, "rate_per_s=10"),
        ({"arrivals": "poisson", "rate_per_s": float("nan")}, "rate_per_s=nan"),
        ({"arrivals": "poisson", "rate_per_s": float("inf")}, "rate_per_s=inf"),
        ({"arrivals": "poisson", "rate_per_s": "10"}, "rate_per_s='10'"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"service_ms": {"default/a": -1}}, "service_ms of default/a"),
        ({"service_ms": {"*": "slow"}}, "service_ms of *"),
        ({"weights": {"default/a": 1.5}}, "weight of default/a"),
        ({"weights": {"default/a": 65536}}, "weight of default/a"),
    ],
)
def test_nonsense_is_refused_and_named(fields, named):
    with pytest.raises(RequestError) as caught:
        Workload(**fields)
    assert named in caught.value.message
    assert caught.value.todo


def test_a_workload_cannot_be_changed_through_the_mapping_it_was_made_of():
    service_ms = {"*": 5.0}
    workload = Workload(service_ms=service_ms)
    service_ms["*"] = 50.0
    assert workload.service_ms_of("default/a") == 5.0
    with pytest.raises(TypeError):
        workload.service_ms["*"] = 1.0


def test_a_pod_of_its_own_name_goes_before_the_star():
    workload = Workload(service_ms={"*": 5.0, "default/a": 40.0}, weights={"default/a": 3})
    assert [workload.service_ms_of(pod) for pod in ("default/a", "default/b")] == [40.0, 5.0]
    assert [workload.weight_of(pod) for pod in ("default/a", "default/b")] == [3, 1]
    assert Workload().service_ms_of("default/a") == 0.0


def test_closed_flows_start_when_there_is_room_and_addresses_take_turns():
    plans = plan_flows(Workload(connections=5, clients=2), 1, ADDRESSES)
    assert plans == tuple(FlowPlan(number, ADDRESSES[number % 2], None) for number in range(5))


def test_more_clients_than_addresses_are_refused():
    with pytest.raises(RequestError, match="64") as caught:
        plan_flows(Workload(clients=65), 1, ADDRESSES)
    assert "clients=64" in caught.value.todo


def test_poisson_starts_are_those_of_the_seed():
    workload = Workload(connections=400, arrivals="poisson", rate_per_s=60)
    plans = plan_flows(workload, 7, ADDRESSES)
    assert plans == plan_flows(workload, 7, ADDRESSES)
    assert plans != plan_flows(workload, 8, ADDRESSES)
    starts = [plan.start_us for plan in plans]
    assert starts[0] == 0
    assert starts == sorted(starts)


def test_a_workload_can_be_replaced_field_by_field():
    assert dataclasses.replace(Workload(), connections=10).connections == 10


def test_bursts_begin_at_the_same_moment_and_keep_the_rate():
    workload = Workload(connections=2000, arrivals="poisson", rate_per_s=50.0, burst=10, clients=1)
    starts = [plan.start_us for plan in plan_flows(workload, 1, ADDRESSES)]
    moments = dict.fromkeys(starts)
    assert all(starts.count(moment) == 10 for moment in moments)
    assert 2000 / (starts[-1] / 1e6) == pytest.approx(50, rel=0.2)


def test_a_burst_of_one_and_no_long_connections_are_the_plan_of_before():
    steady = {"connections": 50, "arrivals": "poisson", "rate_per_s": 10.0, "clients": 1}
    plans = plan_flows(Workload(**steady), 7, ADDRESSES)
    assert {plan.times for plan in plans} == {1.0}
    long = plan_flows(Workload(**steady, long_share=0.2, long_times=20.0), 7, ADDRESSES)
    assert [plan.start_us for plan in long] == [plan.start_us for plan in plans]
    assert {plan.times for plan in long} == {1.0, 20.0}


@pytest.mark.parametrize(
    "wrong",
    [{"burst": 2}, {"burst": 0}, {"long_share": 1.5}, {"long_share": -0.1}, {"long_times": 0.5}],
)
def test_bursts_and_long_connections_that_cannot_be_are_refused(wrong):
    with pytest.raises(RequestError):
        Workload(**wrong)


@pytest.mark.parametrize(
    ("request_line", "times"),
    [
        (b"GET / HTTP/1.1\r\n", 1),
        (b"GET /?work=20 HTTP/1.1\r\n", 20),
        (b"GET /?a=b&work=2.5 HTTP/1.1\r\n", 2.5),
        (b"GET /?homework=9 HTTP/1.1\r\n", 1),
        (b"17 work=3\n", 3),
        (b"GET /?work=lots HTTP/1.1\r\n", 1),
    ],
)
def test_a_request_says_how_many_service_times_it_takes(request_line, times):
    assert service_times(request_line) == times


@pytest.mark.parametrize("times", [1.0, 2.5, 20.0])
def test_what_a_flow_asks_for_is_what_a_pod_understands(times):
    target = Target("10.96.0.10", 80)
    assert service_times(request_of(target, times)) == service_times(datagram_of(5, times)) == times
