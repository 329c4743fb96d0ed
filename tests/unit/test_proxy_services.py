"""Which endpoints a service port may use, decided as kube-proxy v1.30 decides it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.proxy.services import forwarded_ports
from labkit.proxy.settings import node_settings
from labkit.spec.model import EndpointPort, LoadBalancerIngress, ServicePort
from labkit.spec.proxyconfig import ProxyConfig

HINTS = {"service.kubernetes.io/topology-mode": "Auto"}


def ports_of(*parts):
    return forwarded_ports(cluster(*parts), node_settings(NODE, ProxyConfig()))


def port_of(*parts):
    (port,) = ports_of(*parts)
    return port


def names(endpoints):
    return [one.name.removesuffix(":8080").removeprefix("10.244.") for one in endpoints]


def test_only_ready_endpoints_are_used_and_text_orders_them():
    port = port_of(service(), slice_of(here(2), here(10), elsewhere(3, ready=False)))
    assert names(port.cluster) == ["1.10", "1.2"]
    assert names(port.every) == ["1.10", "1.2", "2.3"]


def test_without_a_ready_endpoint_dying_ones_that_still_serve_are_used():
    dying = elsewhere(3, ready=False, terminating=True)
    dead = elsewhere(4, ready=False, serving=False, terminating=True)
    assert names(port_of(service(), slice_of(dying, dead, here(2))).cluster) == ["1.2"]
    assert names(port_of(service(), slice_of(dying, dead)).cluster) == ["2.3"]


def test_a_slices_port_is_found_by_name_and_protocol():
    both = service(
        "dns",
        ServicePort("udp", "UDP", 53, "dns"),
        ServicePort("tcp", "TCP", 53, "dns"),
        cluster_ip="10.96.0.53",
    )
    udp = slice_of(here(2), name="dns", port="udp", protocol="UDP")
    misnamed = slice_of(here(3), name="dns", port="tcp", protocol="UDP")
    by_name = {port.name: names(port.cluster) for port in ports_of(both, udp, misnamed)}
    assert by_name == {"default/dns:udp": ["1.2"], "default/dns:tcp": []}


def test_an_endpoint_in_two_slices_counts_once_and_is_local_if_one_says_so():
    twice = replace(here(2), node="")
    for slices in ((slice_of(twice), slice_of(here(2))), (slice_of(here(2)), slice_of(twice))):
        port = port_of(service(internal_policy="Local"), *slices)
        assert names(port.local) == ["1.2"]


def test_one_number_in_a_slice_may_serve_two_ports():
    one = replace(
        slice_of(here(2)), ports=(EndpointPort("http", "TCP", 8080), EndpointPort("more", "TCP", 8080))
    )
    two = service("web", ServicePort("http", "TCP", 80, 8080), ServicePort("more", "TCP", 81, 8080))
    assert [names(port.cluster) for port in ports_of(two, one)] == [["1.2"], ["1.2"]]


@pytest.mark.parametrize(
    "left_out",
    [
        {"cluster_ip": "None"},
        {"type": "ExternalName", "cluster_ip": ""},
        {"labels": {"service.kubernetes.io/service-proxy-name": "other"}},
        {"labels": {"service.kubernetes.io/headless": ""}},
    ],
)
def test_services_that_are_not_for_this_proxy_are_left_out(left_out):
    assert ports_of(service(**left_out), slice_of(here(2))) == ()


def test_policy_local_keeps_to_the_nodes_own_endpoints():
    inside = port_of(service(internal_policy="Local"), slice_of(here(2), elsewhere(3)))
    assert (names(inside.local), inside.cluster, names(inside.reachable)) == (["1.2"], (), ["1.2"])
    outside = port_of(load_balancer(external_policy="Local"), slice_of(here(2), elsewhere(3)))
    assert (names(outside.local), names(outside.cluster)) == (["1.2"], ["1.2", "2.3"])


def test_policy_local_without_local_endpoints_knows_that_there_are_others():
    port = port_of(load_balancer(external_policy="Local"), slice_of(elsewhere(3)))
    assert (port.has_any, port.answers_inside, port.answers_outside) == (True, True, False)
    port = port_of(service(internal_policy="Local"), slice_of(elsewhere(3)))
    assert (port.has_any, port.answers_inside, port.reachable) == (True, False, ())


def test_external_policy_counts_only_where_there_is_an_outside():
    assert not port_of(service(external_policy="Local"), slice_of(here(2))).external_local
    assert port_of(
        service(external_policy="Local", external_ips=("192.0.2.1",)), slice_of(here(2))
    ).external_local


def test_a_dying_local_endpoint_is_reached_beside_the_clusters_ready_ones():
    dying = here(2, ready=False, terminating=True)
    port = port_of(load_balancer(external_policy="Local"), slice_of(dying, elsewhere(3)))
    assert (names(port.local), names(port.cluster), names(port.reachable)) == (
        ["1.2"],
        ["2.3"],
        ["1.2", "2.3"],
    )


def hinted(number, *zones):
    return elsewhere(number, zone_hints=zones)


def test_hints_are_followed_when_every_ready_endpoint_has_one():
    slice_ = slice_of(
        hinted(2, "east"), hinted(3, "west"), hinted(4, "west", "east"), elsewhere(5, ready=False)
    )
    assert names(port_of(service(annotations=HINTS), slice_).cluster) == ["2.2", "2.4"]


@pytest.mark.parametrize(
    "slice_",
    [
        slice_of(hinted(2, "east"), elsewhere(3)),
        slice_of(hinted(2, "west"), hinted(3, "west")),
    ],
    ids=["one has no hint", "none is for this zone"],
)
def test_unusable_hints_are_not_followed(slice_):
    assert names(port_of(service(annotations=HINTS), slice_).cluster) == ["2.2", "2.3"]


@pytest.mark.parametrize(
    ("annotations", "followed"),
    [
        ({}, False),
        ({"service.kubernetes.io/topology-mode": "disabled"}, False),
        ({"service.kubernetes.io/topology-mode": "anything"}, True),
        ({"service.kubernetes.io/topology-aware-hints": "auto"}, True),
        (
            {"service.kubernetes.io/topology-aware-hints": "", "service.kubernetes.io/topology-mode": "Auto"},
            False,
        ),
    ],
)
def test_hints_need_the_annotation(annotations, followed):
    port = port_of(service(annotations=annotations), slice_of(hinted(2, "east"), hinted(3, "west")))
    assert names(port.cluster) == (["2.2"] if followed else ["2.2", "2.3"])


def test_a_load_balancers_address_in_proxy_mode_does_not_exist_for_the_node():
    addresses = (LoadBalancerIngress("203.0.113.7"), LoadBalancerIngress("203.0.113.8", "Proxy"))
    port = port_of(replace(load_balancer(), load_balancer=addresses), slice_of(here(2)))
    assert port.vips == ("203.0.113.7",)


def test_source_ranges_become_networks_and_nonsense_is_dropped():
    ranges = (" 198.51.100.7/25", "10.0.0.1", "2001:db8::/32", "1.2.3.4/33", "everywhere")
    port = port_of(load_balancer(source_ranges=ranges), slice_of(here(2)))
    assert ([str(network) for network in port.ranges], port.ranges_hold_node) == (["198.51.100.0/25"], False)
    assert port_of(load_balancer(source_ranges=("172.16.0.0/12",)), slice_of(here(2))).ranges_hold_node


def test_the_health_check_port_is_for_balancers_with_policy_local():
    fields = {"health_check_node_port": 32000}
    assert port_of(load_balancer(external_policy="Local", **fields)).health_port == 32000
    assert port_of(load_balancer(**fields)).health_port == 0


@pytest.mark.parametrize("name", ["service-proxy-name", "headless"])
def test_slices_for_another_proxy_are_not_watched(name):
    label = f"service.kubernetes.io/{name}"
    port = port_of(service(), slice_of(here(2)), replace(slice_of(here(3)), labels={label: "x"}))
    assert names(port.cluster) == ["1.2"]


def test_an_external_ip_of_the_other_family_makes_the_external_policy_count():
    addresses = {"external_ips": ("fd00::1",), "load_balancer": (LoadBalancerIngress("203.0.113.7"),)}
    port = port_of(service(external_policy="Local", **addresses), slice_of(elsewhere(3)))
    assert (port.external_ips, port.external_local, port.answers_outside) == ((), True, False)
