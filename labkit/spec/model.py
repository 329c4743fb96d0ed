"""ClusterSpec: a cluster as its control plane would hold it, every default filled in and every choice made.

The values of this module are what the layers below work on. They are immutable, have no Kubernetes syntax
left in them and are made by `spec/cluster.py` (from manifests) or by tests only. Addresses are dotted
strings of IPv4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Protocol = Literal["TCP", "UDP", "SCTP"]
ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
TrafficPolicy = Literal["Cluster", "Local"]
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `address` is its first InternalIP, `pod_cidr` where its pods' addresses come from."""

    name: str
    address: str
    pod_cidr: str
    labels: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a pod's container declares; `name` is "" when it has none."""

    name: str
    port: int
    protocol: Protocol = "TCP"


@dataclass(frozen=True, slots=True)
class Probe:
    """A container's readiness probe; `path` and `headers` are those of a request over HTTP."""

    kind: Literal["http", "tcp"]
    port: int
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    initial_delay_s: int = 0
    period_s: int = 10
    timeout_s: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod, placed on a node and given an address; ready when all `probes` of its containers say so.

    The lab's own: `weight` is that of its IPVS real servers, `service_ms` how long it works on one request.
    """

    namespace: str
    name: str
    node: str
    address: str
    labels: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)
    ports: tuple[ContainerPort, ...] = ()
    ready: bool = True
    probes: tuple[Probe, ...] = ()
    owner: str = ""  # "Deployment/web"
    weight: int = 1
    service_ms: float = 0.0

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service; `target_port` is a number or a container port's name, `node_port` 0 is none."""

    name: str
    protocol: Protocol
    port: int
    target_port: int | str
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    """An address in status.loadBalancer.ingress; `ip_mode` VIP or Proxy (KEP-1860)."""

    ip: str
    ip_mode: Literal["VIP", "Proxy"] = "VIP"


@dataclass(frozen=True, slots=True)
class Service:
    """One Service. `cluster_ip` is "" for ExternalName and "None" for a headless one."""

    namespace: str
    name: str
    type: ServiceType
    cluster_ip: str
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)
    labels: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)
    annotations: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)
    external_ips: tuple[str, ...] = ()
    load_balancer: tuple[LoadBalancerIngress, ...] = ()
    source_ranges: tuple[str, ...] = ()
    external_policy: TrafficPolicy = "Cluster"
    internal_policy: TrafficPolicy = "Cluster"
    affinity_timeout_s: int | None = None  # None: no session affinity
    health_check_node_port: int = 0
    publishes_not_ready: bool = False
    external_name: str = ""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class IngressRoute:
    """Which requests go to which Service port; `node_port` 0: it cannot be reached from outside.

    `host` "" is every host, `*.shop.test` every name one label longer.
    """

    host: str
    path: str
    is_exact: bool
    service: str  # "namespace/name:port"
    node_port: int


@dataclass(frozen=True, slots=True)
class Ingress:
    """An Ingress with the addresses of its balancer, and its routes as they are written."""

    namespace: str
    name: str
    load_balancer: tuple[LoadBalancerIngress, ...]
    routes: tuple[IngressRoute, ...]

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice, its conditions resolved by the API's rules (ready and serving unset: true)."""

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""  # "" where the slice names none
    pod: str = ""  # `namespace/name` of the pod behind it, if one is known
    zone_hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of a slice, where its endpoints listen; Service ports find it by name and protocol."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """One EndpointSlice; `service` is the Service's name in its namespace ("" if its label is missing)."""

    namespace: str
    name: str
    service: str
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]
    labels: Mapping[str, str] = field(default_factory=lambda: NONE, hash=False)


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A whole cluster, in the manifests' order; `warnings` are sentences for the user, with their place."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    services: tuple[Service, ...]
    slices: tuple[EndpointSlice, ...]
    pod_cidr: str
    service_cidr: str
    warnings: tuple[str, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
