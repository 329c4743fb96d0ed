"""What every mode decides alike: which ports a node forwards, to which endpoints, under which policies.

`forwarded_ports` turns a cluster into values that the planners of the modes only translate into rules. The
model is that of Kubernetes v1.30 (pkg/proxy/serviceport.go, endpointslicecache.go, topology.go).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from labkit.proxy.endpoints import Candidates, ServiceEndpoint, choose_endpoints
from labkit.proxy.names import service_port_name
from labkit.proxy.settings import NodeSettings, holds, ipv4_networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.spec.model import ClusterSpec, EndpointSlice, Protocol, Service, ServicePort

UNWATCHED_LABELS = frozenset(("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"))
"""kube-proxy does not watch objects that carry one of these, Services and EndpointSlices alike."""
_OLD_HINTS = "service.kubernetes.io/topology-aware-hints"
_HINTS = "service.kubernetes.io/topology-mode"


@dataclass(frozen=True, slots=True)
class ForwardedPort:
    """One port of a Service as one node forwards it.

    `name` is `namespace/service:port`. `vips` are the load balancer addresses that the node serves itself,
    `ranges` the sources they admit (empty: all). `cluster`, `local` and `reachable` are the endpoints for
    policy Cluster, for policy Local and for either; `every` holds all known ones, whatever their
    conditions. `answers_inside` and `answers_outside` say whether traffic to the cluster IP, and to the
    other addresses, has an endpoint to go to.
    """

    name: str
    service: str
    protocol: Protocol
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    vips: tuple[str, ...]
    ranges: tuple[IPv4Network, ...]
    ranges_hold_node: bool
    affinity_s: int | None
    health_port: int
    internal_local: bool
    external_local: bool
    externally_accessible: bool
    uses_cluster: bool
    uses_local: bool
    has_any: bool
    cluster: tuple[ServiceEndpoint, ...]
    local: tuple[ServiceEndpoint, ...]
    reachable: tuple[ServiceEndpoint, ...]
    every: tuple[ServiceEndpoint, ...]

    @property
    def answers_inside(self) -> bool:
        """Whether traffic to the cluster IP has an endpoint."""
        return self.has_any and not (self.internal_local and not self.local)

    @property
    def answers_outside(self) -> bool:
        """Whether traffic to external IPs, load balancer VIPs and the node port has an endpoint."""
        return self.has_any and not (self.external_local and not self.local)


def forwarded_ports(cluster: ClusterSpec, settings: NodeSettings) -> tuple[ForwardedPort, ...]:
    """Return every service port that the node forwards, in the order of the manifests.

    Left out: headless and ExternalName Services; Services and slices labelled for another proxy. kube-proxy
    itself walks them in random order; chains that several Services share may be in any order.
    """
    slices: defaultdict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for one in cluster.slices:
        slices[one.namespace, one.service].append(one)
    return tuple(
        port
        for service in cluster.services
        for port in service_ports(service, slices[service.namespace, service.name], settings)
    )


def service_ports(
    service: Service, slices: Sequence[EndpointSlice], settings: NodeSettings
) -> tuple[ForwardedPort, ...]:
    """Return the ports of one Service that the node forwards: none of one that `forwarded_ports` leaves out.

    `slices` are the Service's own.
    """
    if not _is_proxied(service):
        return ()
    watched = [one for one in slices if not UNWATCHED_LABELS & one.labels.keys()]
    return tuple(_forwarded_port(service, port, watched, settings) for port in service.ports)


def _is_proxied(service: Service) -> bool:
    has_cluster_ip = service.type != "ExternalName" and service.cluster_ip not in {"", "None"}
    return has_cluster_ip and not UNWATCHED_LABELS & service.labels.keys()


def _forwarded_port(
    service: Service, port: ServicePort, slices: Sequence[EndpointSlice], settings: NodeSettings
) -> ForwardedPort:
    external_ips = _ipv4(service.external_ips)
    vips = _ipv4(ingress.ip for ingress in service.load_balancer if ingress.ip_mode == "VIP")
    ranges = ipv4_networks(service.source_ranges)
    accessible = bool(port.node_port or vips or external_ips)
    policy_counts = service.type in {"NodePort", "LoadBalancer"} or (
        service.type == "ClusterIP" and bool(service.external_ips)  # of either family
    )
    external_local = policy_counts and service.external_policy == "Local"
    internal_local = service.internal_policy == "Local"
    uses_cluster = not internal_local or accessible
    uses_local = internal_local or (external_local and accessible)
    every = _endpoints(port, slices, settings.node)
    candidates = Candidates(
        every, uses_cluster, uses_local, settings.zone if _hints_count(service.annotations) else ""
    )
    chosen = choose_endpoints(candidates)
    return ForwardedPort(
        name=service_port_name(service.namespace, service.name, port.name),
        service=service.key,
        protocol=port.protocol,
        cluster_ip=service.cluster_ip,
        port=port.port,
        node_port=port.node_port,
        external_ips=external_ips,
        vips=vips,
        ranges=ranges,
        ranges_hold_node=holds(ranges, settings.address),
        affinity_s=service.affinity_timeout_s,
        health_port=service.health_check_node_port
        if service.type == "LoadBalancer" and external_local
        else 0,
        internal_local=internal_local,
        external_local=external_local,
        externally_accessible=accessible,
        uses_cluster=uses_cluster,
        uses_local=uses_local,
        has_any=chosen.has_any,
        cluster=chosen.cluster,
        local=chosen.local,
        reachable=chosen.reachable,
        every=every,
    )


def _endpoints(port: ServicePort, slices: Sequence[EndpointSlice], node: str) -> tuple[ServiceEndpoint, ...]:
    """Return a service port's endpoints without doubles (a local one wins), sorted by name as text."""
    found: dict[str, ServiceEndpoint] = {}
    for one in slices:
        for number in (p.port for p in one.ports if p.name == port.name and p.protocol == port.protocol):
            for endpoint in one.endpoints:
                candidate = ServiceEndpoint.of(endpoint, number, node)
                if candidate.local or candidate.name not in found:
                    found[candidate.name] = candidate
    return tuple(found[name] for name in sorted(found))


def _hints_count(annotations: Mapping[str, str]) -> bool:
    """Return whether a Service asks for topology-aware routing: all but "" and [Dd]isabled do."""
    return annotations.get(_OLD_HINTS, annotations.get(_HINTS, "")) not in {"", "disabled", "Disabled"}


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if _is_ipv4(address))


def _is_ipv4(address: str) -> bool:
    try:
        IPv4Address(address)
    except ValueError:
        return False
    return True
