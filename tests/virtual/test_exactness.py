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
from itertools import accumulate, pairwise
from random import Random

import pytest

from labkit.errors import LabError
from labkit.experiment import Experiment, run, run_all
from labkit.fabric.shaping import Shaping
from labkit.spec.text import Text
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
AFFINITY_S = 600
STICKY = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: server, ports: [{{containerPort: 8080}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
  sessionAffinity: ClientIP
  sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {AFFINITY_S}}}}}
"""
ONE_CLIENT_OF_HOURS = Workload(connections=150, arrivals="poisson", rate_per_s=1 / AFFINITY_S, clients=1)
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


def check(experiments, *cases):
    """Run experiments beside each other; every connection's times must be those on paper."""
    results = run_all(experiments)
    for experiment, outcome, case in zip(experiments, results, cases, strict=True):
        assert not isinstance(outcome, LabError), outcome
        starts_us = [flow.started_us for flow in outcome.run.flows]
        assert starts_us == pytest.approx(seeded_starts_us(experiment), abs=0.001)
        assert worst_error_us(outcome.run, *case) <= TOLERANCE_US, case
    return [outcome.run for outcome in results]


def seeded_starts_us(experiment):
    """Exponential gaps of mean 1/rate, from the seed alone."""
    random, rate_per_us = Random(experiment.seed), experiment.workload.rate_per_s / 1e6
    gaps = [-math.log(1 - random.random()) / rate_per_us for _ in range(experiment.workload.connections - 1)]
    return list(accumulate(gaps, initial=0.0))


def loaded(load, service_ms, delays_ms):
    """Three pods of one service time behind round robin, at this utilisation, each way delayed."""
    to_pod_ms, to_client_ms = delays_ms
    shaping = {"client": Shaping(delay_ms=to_pod_ms)} if to_pod_ms else {}
    shaping |= {pod: Shaping(delay_ms=to_client_ms) for pod in SERVICE_MS if to_client_ms}
    workload = Workload(
        connections=150,
        arrivals="poisson",
        rate_per_s=load * 3 * 1000 / service_ms,
        clients=64,
        timeout_s=600.0,
        service_ms=dict.fromkeys(SERVICE_MS, service_ms),
    )
    return unequal(workload=workload, shaping=shaping)


def check_grid(*grid):
    cases = [(dict.fromkeys(SERVICE_MS, service_ms), *delays) for _, service_ms, delays in grid]
    check([loaded(*point) for point in grid], *cases)


def test_every_connection_waits_as_lindley_s_recursion_says():
    """Queues build up at the slow pod; who is chosen, and by what, makes no difference to the arithmetic."""
    check([unequal(scheduler="lc"), unequal(mode="iptables")], (), ())


def test_hashing_has_64_addresses_to_hash_and_each_keeps_its_pod():
    (hashed,) = check([unequal(scheduler="sh")], ())
    chosen = {(flow.client.partition(":")[0], flow.pod) for flow in hashed.flows}
    assert len({client for client, _ in chosen}) == len(chosen) == 64
    assert {pod for _, pod in chosen} == set(SERVICE_MS)


def test_service_times_and_delays_of_links_add_up():
    check_grid((0.9, 15.0, (12.5, 7.25)), (0.7, 0.5, (1.0, 0.0)))


@pytest.mark.slow
@pytest.mark.parametrize("delays_ms", [(0.0, 0.0), (0.3, 0.0), (12.5, 7.25), (1000.0, 1000.0)])
def test_the_whole_grid_of_delays_service_times_and_arrivals_is_as_on_paper(delays_ms):
    check_grid(*((load, service_ms, delays_ms) for load in (0.3, 0.95) for service_ms in (0.5, 2.5, 40.0)))


@pytest.mark.slow
def test_any_algorithm_s_choices_lead_to_the_waits_on_paper():
    algorithms = [("nftables", ""), *(("ipvs", one) for one in ("rr", "wrr", "sed", "nq", "mh", "twos"))]
    check([unequal(mode=mode, scheduler=one) for mode, one in algorithms], *((),) * len(algorithms))


def test_a_time_out_comes_when_it_is_due():
    """The answer takes half a second: who waits 50 us longer than that gets it, who waits 50 us less not."""
    service_s, one_pod = 0.5, (Text("one.yaml", ONE_POD),)
    patience_s = (service_s + TOLERANCE_US / 1e6, service_s - TOLERANCE_US / 1e6)
    outcomes = run_all([
        Experiment(one_pod, workload=Workload(
            connections=20, concurrency=1, timeout_s=timeout_s, service_ms={"default/only": service_s * 1000}
        ))
        for timeout_s in patience_s
    ])  # fmt: skip
    patient, impatient = (outcome.run for outcome in outcomes)
    assert patient.answered == patient.connections
    assert impatient.errors["timeout"] == impatient.connections


@pytest.mark.slow
def test_affinity_lasts_as_long_as_it_is_to_over_a_day():
    """A client keeps its pod if it comes back in time; else round robin has the other one's turn.

    The kernel is late with it, never early: its timer wheel (kernel/time/timer.c) has buckets of 4,096
    jiffies for times from 32,256 on, which at 100 a second is 41 s.
    """
    flows = run(Experiment((Text("sticky.yaml", STICKY),), workload=ONE_CLIENT_OF_HOURS)).flows
    comings = [
        ((later.started_us - flow.started_us) / 1e6, flow.pod == later.pod) for flow, later in pairwise(flows)
    ]
    in_time = [stayed for gap_s, stayed in comings if gap_s < AFFINITY_S]
    too_late = [stayed for gap_s, stayed in comings if gap_s > AFFINITY_S + 41]
    assert min(len(in_time), len(too_late)) > 30
    assert all(in_time)
    assert not any(too_late)


@pytest.mark.slow
def test_the_mean_wait_is_that_of_an_m_d_1_queue():
    result = run(Experiment((Text("one.yaml", ONE_POD),), workload=M_D_1))
    service_ms, load = 10.0, M_D_1.rate_per_s * 0.010
    expected_ms = service_ms + load * service_ms / (2 * (1 - load))  # Pollaczek and Khinchine
    responses = [flow.response_us / 1000 for flow in result.flows]
    size = len(responses) // BATCHES
    means = [statistics.fmean(responses[at * size : (at + 1) * size]) for at in range(BATCHES)]
    half_width_ms = T_99_9 * statistics.stdev(means) / math.sqrt(BATCHES)
    assert abs(statistics.fmean(means) - expected_ms) <= half_width_ms


@pytest.mark.slow
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


def test_an_experiment_s_own_weights_and_times_are_in_force():
    weights = {"default/fast-1": 1, "default/middling-1": 2, "default/slow-1": 3}
    workload = Workload(connections=60, concurrency=1, service_ms={"*": 15.0}, weights=weights)
    measured = run(Experiment.of("unequal", scheduler="wrr", workload=workload))
    assert measured.answers == {"default/fast-1": 10, "default/middling-1": 20, "default/slow-1": 30}
    assert all(15_000 <= flow.response_us < 15_000 + TOLERANCE_US for flow in measured.flows)
