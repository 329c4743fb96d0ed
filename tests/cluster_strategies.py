"""Random clusters with Services of every kind, and configurations, for property tests of the proxy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from proxy_clusters import NODE, elsewhere, here, slice_of

from labkit.spec.model import ClusterSpec, LoadBalancerIngress, Service, ServicePort
from labkit.spec.proxyconfig import IptablesConfig, IpvsConfig, NftablesConfig, ProxyConfig

policies = st.sampled_from(["Cluster", "Local"])
conditions = st.fixed_dictionaries(
    {
        "ready": st.booleans(),
        "serving": st.booleans(),
        "terminating": st.booleans(),
        "zone_hints": st.sampled_from([(), ("east",), ("west",), ("east", "west")]),
    }
)
annotations = st.sampled_from(
    [
        {},
        {"service.kubernetes.io/topology-mode": "Auto"},
        {"service.kubernetes.io/topology-mode": "disabled"},
        {"service.kubernetes.io/topology-aware-hints": "", "service.kubernetes.io/topology-mode": "Auto"},
    ]
)
labels = st.sampled_from([{}, {}, {}, {"service.kubernetes.io/service-proxy-name": "other"}])


def load_balancers(number):
    first, second = f"203.0.113.{2 * number + 1}", f"203.0.113.{2 * number + 2}"
    modes = [
        (LoadBalancerIngress(first),),
        (LoadBalancerIngress(first), LoadBalancerIngress(second)),
        (LoadBalancerIngress(first), LoadBalancerIngress(second, "Proxy")),
        (LoadBalancerIngress("fd00::2"),),
        (),
    ]
    return st.sampled_from(modes)


@st.composite
def services(draw, number):
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    outside = kind != "ClusterIP"
    return Service(
        "default",
        f"s{number}",
        kind,
        f"10.96.0.{number + 1}",
        tuple(
            ServicePort(name, protocol, port, 8080, 30000 + 10 * number + port if outside else 0)
            for name, protocol, port in draw(
                st.lists(
                    st.sampled_from([("a", "TCP", 1), ("b", "UDP", 2), ("c", "SCTP", 3)]),
                    min_size=1,
                    unique=True,
                )
            )
        ),
        external_ips=draw(st.sampled_from([(), (f"192.0.2.{number + 1}",), ("fd00::1",)])),
        load_balancer=draw(load_balancers(number)) if kind == "LoadBalancer" else (),
        source_ranges=draw(st.sampled_from([(), ("198.51.100.0/24",), ("172.16.0.0/12", "10.1.2.3/32")])),
        annotations=draw(annotations),
        health_check_node_port=draw(st.sampled_from([0, 32_000 + number])),
        external_policy=draw(policies),
        internal_policy=draw(policies),
        affinity_timeout_s=draw(st.sampled_from([None, 60])),
    )


@st.composite
def endpoint_slices(draw, service):
    slices = []
    for port in service.ports:
        numbers = draw(st.lists(st.integers(1, 12), unique=True, max_size=4))
        made = (draw(st.sampled_from([here, elsewhere]))(number, **draw(conditions)) for number in numbers)
        one = slice_of(*made, name=service.name, port=port.name, protocol=port.protocol)
        slices.append(replace(one, name=f"{service.name}-{port.name}", labels=draw(labels)))
    return slices


@st.composite
def clusters(draw):
    some = [draw(services(number)) for number in draw(st.sets(st.integers(0, 3)))]
    slices = [one for service in some for one in draw(endpoint_slices(service))]
    return ClusterSpec((NODE,), (), tuple(some), tuple(slices), "10.244.0.0/16", "10.96.0.0/12")


configs = st.builds(
    ProxyConfig,
    cluster_cidr=st.sampled_from(["", "10.244.0.0/16"]),
    detect_local_mode=st.sampled_from(["ClusterCIDR", "NodeCIDR"]),
    node_port_addresses=st.sampled_from(
        [(), ("172.18.0.0/16",), ("127.0.0.0/8",), ("0.0.0.0/0",), ("10.0.0.0/0",), ("192.0.2.0/24",)]
    ),
    iptables=st.builds(
        IptablesConfig,
        masquerade_all=st.booleans(),
        masquerade_bit=st.integers(0, 31),
        localhost_node_ports=st.booleans(),
    ),
    nftables=st.builds(NftablesConfig, masquerade_all=st.booleans(), masquerade_bit=st.integers(0, 31)),
    ipvs=st.builds(IpvsConfig, scheduler=st.sampled_from(["", "lc", "mh"]), strict_arp=st.booleans()),
)
