"""Latencies in virtual time are those that can be worked out on paper.

A pod serves one request at a time, first come, first served, so what a connection waits follows from the
arrivals before it and the pod's service time alone: Lindley's recursion.
"""

import math
import os
import statistics
import subprocess
import sys
from collections import defaultdict

import pytest

from labkit.experiment import Experiment, run, run_all
from labkit.fabric.shaping import Shaping
from labkit.spec.documents import Text
from labkit.traffic.workload import Workload

TOLERANCE_US = 50
SERVICE_MS = {"default/fast-1": 5.0, "default/middling-1": 10.0, "default/slow-1": 40.0}
NEAR_SATURATION = Workload(connections=600, arrivals="poisson", rate_per_s=60.0, clients=64, timeout_s=600.0)
ONE_POD = """
apiVersion: v1
kind: Pod
metadata: {name: only, labels: {app: web}, annotations: {labkit.dev/service-ms: "10"}}
spec: {containers: [{name: server, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
M_D_1 = Workload(connections=4000, arrivals="poisson", rate_per_s=70.0, clients=64, timeout_s=600.0)
BATCHES = 20
T_99_9 = 3.883  # Student's t, two-sided, 19 degrees of freedom


def unequal(**others):
    return Experiment.of("unequal", **{"workload": NEAR_SATURATION, **others})


def expected_us(flows, service_ms, to_pod_ms, to_client_ms):
    """Each flow's connect and response time in us, by number, worked out with Lindley's recursion.

    The handshake takes one way there and one back; the request then needs one more way to the pod.
    """
    round_trip_us = (to_pod_ms + to_client_ms) * 1000
    idle_at_us = defaultdict(float)
    times = {}
    for flow in sorted(flows, key=lambda flow: flow.started_us):
        asked_us = flow.started_us + round_trip_us
        begun_us = max(asked_us + to_pod_ms * 1000, idle_at_us[flow.pod])
        idle_at_us[flow.pod] = begun_us + service_ms[flow.pod] * 1000
        times[flow.number] = (round_trip_us, idle_at_us[flow.pod] + to_client_ms * 1000 - asked_us)
    return times


def worst_error_us(result, service_ms=None, to_pod_ms=0.0, to_client_ms=0.0):
    assert result.clock == "virtual"
    assert result.answered == result.connections
    times = expected_us(result.flows, service_ms or SERVICE_MS, to_pod_ms, to_client_ms)
    return max(
        max(abs(flow.connect_us - times[flow.number][0]), abs(flow.response_us - times[flow.number][1]))
        for flow in result.flows
    )


@pytest.mark.parametrize(("mode", "scheduler"), [("ipvs", "rr"), ("ipvs", "lc"), ("iptables", "rr")])
def test_every_connection_waits_as_lindley_s_recursion_says(mode, scheduler):
    assert worst_error_us(run(unequal(mode=mode, scheduler=scheduler))) <= TOLERANCE_US


@pytest.mark.parametrize(("to_pod_ms", "to_client_ms"), [(1.0, 0.0), (12.5, 7.25), (1000.0, 1000.0)])
def test_delays_of_links_add_up(to_pod_ms, to_client_ms):
    shaping = {"client": Shaping(delay_ms=to_pod_ms)}
    shaping |= {pod: Shaping(delay_ms=to_client_ms) for pod in SERVICE_MS if to_client_ms}
    workload = Workload(connections=150, arrivals="poisson", rate_per_s=40.0, clients=64, timeout_s=600.0)
    result = run(unequal(shaping=shaping, workload=workload))
    assert worst_error_us(result, None, to_pod_ms, to_client_ms) <= TOLERANCE_US


@pytest.mark.parametrize("service_ms", [0.5, 1.0, 2.5, 15.0])
def test_service_times_of_any_length_are_exact(service_ms):
    times = dict.fromkeys(SERVICE_MS, service_ms)
    rate_per_s = 0.7 * 3 * 1000 / service_ms
    workload = Workload(
        connections=200, arrivals="poisson", rate_per_s=rate_per_s, clients=64, service_ms=times
    )
    assert worst_error_us(run(unequal(workload=workload)), times) <= TOLERANCE_US


def test_who_is_not_answered_in_time_gives_up_at_that_time():
    slow = Workload(connections=20, arrivals="poisson", rate_per_s=1.0, clients=4, timeout_s=0.5,
                    service_ms={"default/only": 700.0})  # fmt: skip
    result = run(Experiment((Text("one.yaml", ONE_POD),), workload=slow))
    assert result.errors["timeout"] == result.connections


def test_the_mean_wait_is_that_of_an_m_d_1_queue():
    result = run(Experiment((Text("one.yaml", ONE_POD),), workload=M_D_1))
    service_ms, load = 10.0, M_D_1.rate_per_s * 0.010
    expected_ms = service_ms + load * service_ms / (2 * (1 - load))  # Pollaczek and Khinchine
    responses = [flow.response_us / 1000 for flow in result.flows]
    size = len(responses) // BATCHES
    means = [statistics.fmean(responses[at * size : (at + 1) * size]) for at in range(BATCHES)]
    half_width_ms = T_99_9 * statistics.stdev(means) / math.sqrt(BATCHES)
    assert abs(statistics.fmean(means) - expected_ms) <= half_width_ms


def test_a_busy_machine_changes_nothing():
    """The same experiments twice, the second time with every processor burning."""
    experiments = [unequal(scheduler=scheduler) for scheduler in ("rr", "lc", "sed")]
    quiet = run_all(experiments)
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        busy = run_all(experiments)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    rr, *others = ((one.run, other.run) for one, other in zip(quiet, busy, strict=True))
    for flow, again in zip(rr[0].flows, rr[1].flows, strict=True):
        assert flow.pod == again.pod
        assert abs(flow.response_us - again.response_us) <= 5
    for one, other in others:  # ties are broken by what runs first
        assert abs(p99_us(one) - p99_us(other)) <= 2000


def p99_us(result):
    return result.latency_us["response"]["p99"].value
