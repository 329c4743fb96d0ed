"""A small cluster with a Service over TCP and one over UDP, for the tests of traffic and measuring."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

from clusters import cluster_of

from labkit.fabric.build import build_network
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.model import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort
from labkit.spec.proxyconfig import ProxyConfig
from labkit.traffic.backend import build_backends, plan_pod_ports

PODS = ("default/web-0", "default/web-1", "default/web-2")


def cluster():
    bare = cluster_of(len(PODS))
    endpoints = tuple(Endpoint(pod.address, node=pod.node, pod=pod.key) for pod in bare.pods)
    ports = (ServicePort("http", "TCP", 80, 8080, 30080), ServicePort("dns", "UDP", 53, 5353))
    web = Service("default", "web", "NodePort", "10.96.0.10", ports)
    named = (EndpointPort("http", "TCP", 8080), EndpointPort("dns", "UDP", 5353))
    return replace(
        bare, services=(web,), slices=(EndpointSlice("default", "web-1", "web", named, endpoints),)
    )


class TrafficLab:
    """A network whose pods answer; `program` lets kube-proxy work in a mode."""

    def __init__(self, cluster, network, backends):
        self.cluster = cluster
        self.network = network
        self.backends = backends
        self.client = network.client("client")
        self.addresses = network.plan.clients["client"].addresses
        self._proxies = {}

    def address_of(self, pod):
        return next(one.address for one in self.cluster.pods if one.key == pod)

    def program(self, mode, scheduler="rr"):
        config = ProxyConfig()
        config = replace(config, ipvs=replace(config.ipvs, scheduler=scheduler))
        for node in self.cluster.nodes:
            namespace = self.network.node(node.name)
            proxier = self._proxies.setdefault(node.name, Proxier(namespace, node.name, mode, config))
            proxier.mode, proxier.config = mode, config
            proxier.sync(self.cluster)


@contextmanager
def traffic_lab():
    planned = cluster()
    with build_network(plan_addresses(planned)) as network:
        pods = [(ports, network.pod(ports.pod)) for ports in plan_pod_ports(planned)]
        with build_backends(pods) as backends:
            yield TrafficLab(planned, network, backends)
