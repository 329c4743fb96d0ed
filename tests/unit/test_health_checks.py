"""What a node says on a health check node port, and what a control plane makes of pods' states."""

import json
from dataclasses import replace

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.proxy.health import HealthCheck, health_response, plan_health_checks
from labkit.proxy.settings import node_settings
from labkit.spec.model import Pod, ServicePort
from labkit.spec.podstates import PodState, with_pod_states, written_state
from labkit.spec.proxyconfig import ProxyConfig

LOCAL = {"external_policy": "Local", "health_check_node_port": 32000}


def checks(*parts):
    return plan_health_checks(cluster(*parts), node_settings(NODE, ProxyConfig()))


@pytest.mark.parametrize(
    ("endpoints", "count"),
    [
        ([here(2), here(3), elsewhere(2)], 2),
        ([here(2, ready=False), elsewhere(2)], 0),
        ([here(2, ready=False, terminating=True)], 0),  # it serves on, but no balancer is to send more
        ([], 0),
    ],
)
def test_only_ready_endpoints_of_this_node_count(endpoints, count):
    assert checks(load_balancer(**LOCAL), slice_of(*endpoints)) == (
        HealthCheck("default", "web", 32000, count),
    )


def test_a_pod_with_two_ports_counts_once():
    ports = (ServicePort("http", "TCP", 80, 8080, 30080), ServicePort("more", "TCP", 81, 8081, 30081))
    both = (slice_of(here(2)), replace(slice_of(here(2), port="more"), name="web-2"))
    assert checks(replace(load_balancer(**LOCAL), ports=ports), *both)[0].local_endpoints == 1


@pytest.mark.parametrize(
    "other",
    [
        load_balancer(health_check_node_port=32000),
        replace(load_balancer(**LOCAL), type="NodePort"),
        service(**LOCAL),
        load_balancer(external_policy="Local"),
    ],
    ids=["policy Cluster", "NodePort", "ClusterIP", "no port"],
)
def test_who_has_no_health_check_node_port(other):
    assert checks(other, slice_of(here(2))) == ()


@pytest.mark.parametrize(
    ("count", "healthy", "status"),
    [(2, True, "200 OK"), (0, True, "503 Service Unavailable"), (2, False, "503 Service Unavailable")],
)
def test_the_answer_is_kube_proxy_s(count, healthy, status):
    answer = health_response(HealthCheck("shop", "web", 32000, count), proxy_healthy=healthy).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.split("\r\n") == [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"X-Load-Balancing-Endpoint-Weight: {count}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    assert body == (
        '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n'
        f'\t"localEndpoints": {count},\n\t"serviceProxyHealthy": {json.dumps(healthy)}\n}}'
    )


WEB = service(selector={"app": "web"})
PODS = tuple(Pod("default", f"web-{n}", NODE.name, f"10.244.1.{n}", {"app": "web"}) for n in (1, 2))
ENDPOINTS = slice_of(*(here(n, pod=f"default/web-{n}") for n in (1, 2)))


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (PodState(), (True, True, False)),
        (PodState(is_ready=False), (False, False, False)),
        (PodState(is_terminating=True), (False, True, True)),
        (PodState(is_ready=False, is_terminating=True), (False, False, True)),
    ],
)
def test_slices_follow_the_pods_as_the_endpoint_slice_controller_lets_them(state, conditions):
    after = with_pod_states(cluster(WEB, ENDPOINTS, *PODS), {"default/web-1": state})
    first, second = after.slices[0].endpoints
    assert (first.ready, first.serving, first.terminating) == conditions
    assert second == ENDPOINTS.endpoints[1]
    assert [pod.ready for pod in after.pods] == [state.is_ready, True]


def test_a_removed_pod_is_in_no_slice():
    after = with_pod_states(cluster(WEB, ENDPOINTS, *PODS), {"default/web-1": PodState(is_removed=True)})
    assert [one.pod for one in after.slices[0].endpoints] == ["default/web-2"]


def test_a_service_that_publishes_what_is_not_ready_keeps_it_ready():
    published = replace(WEB, publishes_not_ready=True)
    after = with_pod_states(cluster(published, ENDPOINTS, *PODS), {"default/web-1": PodState(is_ready=False)})
    assert (after.slices[0].endpoints[0].ready, after.slices[0].endpoints[0].serving) == (True, False)


def test_a_slice_of_a_service_without_a_selector_is_someone_else_s():
    before = cluster(replace(WEB, selector={}), ENDPOINTS, *PODS)
    assert with_pod_states(before, {"default/web-1": PodState(is_removed=True)}).slices == before.slices


def test_the_state_that_manifests_give_is_read_back():
    states = {"default/web-1": PodState(is_ready=False, is_terminating=True), "default/web-2": PodState()}
    after = with_pod_states(cluster(WEB, ENDPOINTS, *PODS), states)
    assert {pod: written_state(after, pod) for pod in states} == states
