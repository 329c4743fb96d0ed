"""A run, measured on the real network: who answered, how fast, and what the taps saw."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traffic_lab import PODS, traffic_lab

from labkit.errors import RequestError, TrafficError
from labkit.measure import taps
from labkit.measure.distribution import is_even
from labkit.measure.experiment import Programmed, measure_service, plan_service_targets
from labkit.measure.taps import Taps, plan_ingress
from labkit.traffic.flow import Target
from labkit.traffic.flows import send_flows
from labkit.traffic.workload import Workload, plan_flows

MODES = {"iptables": "random", "ipvs": "rr"}


@pytest.fixture(scope="module", params=MODES)
def lab(request):
    with traffic_lab() as lab:
        lab.mode = request.param
        lab.program(lab.mode)
        yield lab


def targets(lab):
    return {target.target.protocol: target for target in plan_service_targets(lab.cluster)}


def measure(lab, protocol="TCP", target=None, **options):
    fields = {"connections": 90, **options.pop("workload", {})}
    programmed = Programmed(lab.mode, MODES[lab.mode])
    service = target or targets(lab)[protocol]
    return measure_service(
        lab.network, lab.backends, service, Workload(**fields), seed=1, programmed=programmed, **options
    )


def test_the_services_of_a_cluster_are_found(lab):
    found = targets(lab)
    assert found["TCP"].service == "default/web:80"
    assert found["UDP"].target == Target("10.96.0.10", 53, "UDP")
    assert {target.pods for target in found.values()} == {PODS}


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_every_flow_is_answered_spread_and_stamped(lab, protocol):
    run = measure(lab, protocol)
    assert (run.connections, run.answered, sum(run.errors.values())) == (90, 90, 0)
    assert run.expected_share == dict.fromkeys(PODS, pytest.approx(1 / 3))
    assert run.p_value > 1e-6
    if lab.mode == "ipvs":
        assert is_even(run.answers, PODS)
    assert all(flow.forward_us > 0 for flow in run.flows)
    assert run.lost_stamps == 0
    measures = {"response", "forward"} | ({"connect"} if protocol == "TCP" else set())
    assert set(run.latency_us) == measures
    assert all(set(quantiles) == {"p05", "p50", "p95", "p99"} for quantiles in run.latency_us.values())
    for flow in run.flows:
        assert flow.forward_us < (flow.response_us if protocol == "UDP" else flow.connect_us)


def test_without_taps_nothing_is_stamped(lab):
    run = measure(lab, with_taps=False)
    assert {flow.forward_us for flow in run.flows} == {None}
    assert "forward" not in run.latency_us


def test_a_client_outside_is_measured_through_the_node_port(lab):
    web = replace(targets(lab)["TCP"], target=Target("172.18.0.2", 30080))
    run = measure(lab, target=web, client="outside")
    assert (run.answered, set(run.answers)) == (90, set(PODS))
    assert all(flow.forward_us > 0 for flow in run.flows)
    assert {flow.client.rpartition(".")[0] for flow in run.flows} == {"172.18.255"}


def test_who_may_answer_is_what_kube_proxy_decides(lab):
    (web,) = lab.cluster.services
    local = replace(lab.cluster, services=(replace(web, internal_policy="Local"),))
    assert {target.pods for target in plan_service_targets(local)} == {(PODS[0], PODS[2])}
    assert {target.pods for target in plan_service_targets(local, "node-2")} == {(PODS[1],)}
    sticky = replace(lab.cluster, services=(replace(web, affinity_timeout_s=60),))
    assert all(target.has_affinity for target in plan_service_targets(sticky))


def test_ingress_is_where_a_client_enters_the_cluster(lab):
    plan = lab.network.plan
    (near,) = plan_ingress(plan, "client")
    assert near[0] == "node-1"
    assert near[1] not in {"eth0", "cni0"}
    assert plan_ingress(plan, "outside") == (("node-1", "eth0"), ("node-2", "eth0"))


def test_a_dead_pod_shows_as_refused_flows(lab):
    lab.backends.kill(PODS[1])
    try:
        run = measure(lab)
    finally:
        lab.backends.revive(PODS[1])
    assert run.answers[PODS[1]] == 0
    assert run.answered + run.errors["refused"] == 90
    if lab.mode == "ipvs":
        assert run.errors["refused"] == 30


def test_service_times_last_as_long_as_the_run(lab):
    lab.backends.set_service_times({PODS[0]: 1.0})
    run = measure(lab, workload={"connections": 12, "service_ms": {"*": 3.0}})
    assert min(flow.response_us for flow in run.flows) >= 3000
    assert lab.backends.service_ms == {PODS[0]: 1.0}
    lab.backends.set_service_times({})


def test_an_overloaded_run_is_said_to_be_and_leaves_no_queue(lab):
    slow = {"connections": 60, "arrivals": "poisson", "rate_per_s": 600.0, "service_ms": {"*": 50.0}}
    run = measure(lab, workload={**slow, "timeout_s": 0.2})
    assert run.overloaded
    assert run.errors["timeout"] > 0
    assert measure(lab, workload={"connections": 30}).answered == 30


def test_requests_for_what_is_not_there_are_refused(lab):
    with pytest.raises(RequestError, match="nobody"):
        measure(lab, client="nobody")
    with pytest.raises(RequestError, match="default/nobody"):
        measure(lab, workload={"service_ms": {"default/nobody": 1.0}})
    with pytest.raises(RequestError, match="default/nobody"):
        measure(lab, workload={"weights": {"default/nobody": 1}})


def test_taps_that_overflow_say_how_much_they_lost(lab, monkeypatch):
    monkeypatch.setattr(taps, "LEAST_BUFFER_BYTES", 1)
    monkeypatch.setattr(taps, "BUFFER_BYTES_PER_FLOW", 0)
    workload = Workload(connections=30, concurrency=1)
    ingress = [(lab.network.node("node-1"), plan_ingress(lab.network.plan, "client")[0][1])]
    with Taps(ingress, {}, "TCP", 30) as opened:
        send_flows(lab.client, targets(lab)["TCP"].target, workload, plan_flows(workload, 1, lab.addresses))
        reading = opened.read()
    assert reading.lost > 0
    assert reading.lost + len(reading.ingress) == 30


@pytest.mark.usefixtures("nothing_left")
def test_a_tap_on_an_interface_that_is_not_there_is_refused(lab):
    with pytest.raises(TrafficError, match="eth9"):
        Taps([(lab.client, "eth0"), (lab.client, "eth9")], {}, "TCP", 1)
