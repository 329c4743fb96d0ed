"""The lab's extension of IPVS mode, and that without it a plan is kube-proxy's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from proxy_clusters import NODE, cluster, here, load_balancer, service, slice_of

from labkit.errors import RequestError
from labkit.proxy.extension import SCHEDULER_ANNOTATION, lab_extension
from labkit.proxy.ipvs import plan_ipvs
from labkit.spec.model import Pod
from labkit.spec.proxyconfig import IpvsConfig, ProxyConfig

HEAVY = Pod("default", "heavy", NODE.name, "10.244.1.2", weight=5)
LIGHT = Pod("default", "light", NODE.name, "10.244.1.3")
CLUSTER = cluster(
    replace(load_balancer(), annotations={SCHEDULER_ANNOTATION: "wrr"}),
    slice_of(here(2), here(3)),
    HEAVY,
    LIGHT,
)


def test_without_an_extension_every_scheduler_is_the_nodes_and_every_weight_one():
    plan = plan_ipvs(CLUSTER, NODE, ProxyConfig(ipvs=IpvsConfig(scheduler="sh")))
    assert {server.scheduler for server in plan.virtual_servers} == {"sh"}
    assert {real.weight for server in plan.virtual_servers for real in server.real_servers} == {1}


def test_annotations_and_pod_weights_hold_for_every_address_of_the_service():
    plan = plan_ipvs(CLUSTER, NODE, ProxyConfig(), extension=lab_extension(CLUSTER))
    assert len(plan.virtual_servers) == 3
    for server in plan.virtual_servers:
        assert server.scheduler == "wrr"
        assert {real.address: real.weight for real in server.real_servers} == {
            "10.244.1.2": 5,
            "10.244.1.3": 1,
        }


def test_what_is_given_overrides_the_manifests():
    extension = lab_extension(CLUSTER, {"default/web": "mh"}, {"default/heavy": 1, "default/light": 0})
    (server, *_) = plan_ipvs(CLUSTER, NODE, ProxyConfig(), extension=extension).virtual_servers
    assert (server.scheduler, server.flags) == ("mh", 0x10)
    assert [real.weight for real in server.real_servers] == [1, 0]


@pytest.mark.parametrize(
    ("schedulers", "weights", "words"),
    [
        ({"default/wbe": "rr"}, {}, "no Service default/wbe"),
        ({}, {"heavy": 2}, "no pod heavy"),
        ({}, {"default/heavy": -1}, "weight -1"),
        ({}, {"default/heavy": 65536}, "weight 65536"),
    ],
)
def test_an_extension_of_what_is_not_there_is_refused(schedulers, weights, words):
    with pytest.raises(RequestError, match=words) as refusal:
        lab_extension(CLUSTER, schedulers, weights)
    assert refusal.value.todo


def test_a_service_with_affinity_to_mh_has_both_flags():
    sticky = cluster(service(affinity_timeout_s=60), slice_of(here(2)))
    (server,) = plan_ipvs(sticky, NODE, ProxyConfig(ipvs=IpvsConfig(scheduler="mh"))).virtual_servers
    assert (server.flags, server.timeout_s) == (0x11, 60)
