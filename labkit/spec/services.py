"""Services: checked as the API checks them, with the cluster IPs and node ports it would assign."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.clusterips import Occupied, assign_cluster_ips
from labkit.spec.fields import ipv4_network
from labkit.spec.ipv4 import is_ipv4
from labkit.spec.nodeports import assign_node_ports
from labkit.spec.schedulers import SCHEDULER_ANNOTATION, unknown_scheduler
from labkit.spec.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Service


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A Service, and what its endpoints need to know of its manifest."""

    service: model.Service
    item: Item[Service] = field(repr=False)


def plan_services(
    items: Sequence[Item[Service]], nodes: Sequence[model.Node], findings: Findings
) -> tuple[tuple[PlannedService, ...], str]:
    """Return the Services in the order of the manifests, and the service CIDR.

    `nodes` are there so that no Service gets an address of theirs or of their pods.
    """
    for item in items:
        _check(item, findings)
    _warn_of_shared_addresses(items, findings)
    cluster_ips, cidr = assign_cluster_ips(items, Occupied(nodes), findings)
    node_ports = assign_node_ports(items, findings)
    planned = (_service(item, cluster_ips[item.key], *node_ports[item.key]) for item in items)
    return tuple(PlannedService(service, item) for service, item in zip(planned, items, strict=True)), cidr


def _service(
    item: Item[Service], cluster_ip: str, node_ports: tuple[int, ...], health_port: int
) -> model.Service:
    metadata, spec = item.object.metadata, item.object.spec
    sticky = spec.session_affinity == "ClientIP"
    ingress = (entry for entry in item.object.status.load_balancer.ingress if entry.ip)
    return model.Service(
        namespace=metadata.namespace,
        name=metadata.name,
        type=spec.type,
        cluster_ip=cluster_ip,
        ports=_ports(item.object, node_ports),
        selector=spec.selector,
        labels=metadata.labels,
        annotations=metadata.annotations,
        external_ips=spec.external_ips,
        load_balancer=tuple(model.LoadBalancerIngress(entry.ip, entry.ip_mode) for entry in ingress),
        source_ranges=spec.load_balancer_source_ranges,
        external_policy=spec.external_traffic_policy,
        internal_policy=spec.internal_traffic_policy,
        affinity_timeout_s=spec.session_affinity_config.client_ip.timeout_seconds if sticky else None,
        health_check_node_port=health_port,
        publishes_not_ready=spec.publish_not_ready_addresses,
        external_name=spec.external_name if spec.type == "ExternalName" else "",
    )


def _ports(service: Service, node_ports: tuple[int, ...]) -> tuple[model.ServicePort, ...]:
    return tuple(
        model.ServicePort(
            name=port.name,
            protocol=port.protocol,
            port=port.port,
            target_port=port.port if port.target_port is None else port.target_port,
            node_port=node_port,
        )
        for port, node_port in zip(service.spec.ports, node_ports, strict=True)
    )


def _check(item: Item[Service], findings: Findings) -> None:
    """Find what the API would refuse in a Service (pkg/apis/core/validation, ValidateService)."""
    spec = item.object.spec
    if spec.type == "ExternalName":
        if not spec.external_name:
            needed = "an ExternalName Service stands for a DNS name: write it there"
            findings.mistake(item.place("spec"), "spec.externalName is missing", needed)
        return
    headless = spec.cluster_ip == "None"
    if not spec.ports and not headless:
        needed = "write at least one port under spec.ports"
        findings.mistake(item.place("spec", "ports"), f"Service {item.name} has no ports", needed)
    if headless and spec.type != "ClusterIP":
        place = item.place("spec", "clusterIP")
        findings.mistake(place, f"a {spec.type} Service cannot be headless", "leave clusterIP out")
    if spec.ip_families and "IPv4" not in spec.ip_families:
        place = item.place("spec", "ipFamilies")
        findings.mistake(
            place, f"Service {item.name} is IPv6 only", "the lab speaks IPv4: add it to ipFamilies"
        )
    _check_ports(item, findings)
    _check_scheduler(item, findings)
    _warn_of_unused(item, findings)


def _check_ports(item: Item[Service], findings: Findings) -> None:
    spec = item.object.spec
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(spec.ports):
        path = ("spec", "ports", index)
        number = (port.port, port.protocol)
        if not port.name and len(spec.ports) > 1:
            needed = "a Service with several ports names each of them"
            findings.mistake(item.place(*path), f"spec.ports[{index}].name is missing", needed)
        if port.name and port.name in names:
            twice = f"port name {port.name} is given twice"
            findings.mistake(item.place(*path, "name"), twice, "name each port differently")
        if number in numbers:
            twice = f"port {port.port}/{port.protocol} is given twice"
            findings.mistake(item.place(*path, "port"), twice, "a Service has each port once")
        if port.node_port and spec.type == "ClusterIP":
            needed = "add type: NodePort, or leave nodePort out"
            findings.mistake(item.place(*path, "nodePort"), "a ClusterIP Service has no node ports", needed)
        names.add(port.name)
        numbers.add(number)


def _check_scheduler(item: Item[Service], findings: Findings) -> None:
    annotations = item.object.metadata.annotations
    message, todo = unknown_scheduler(annotations.get(SCHEDULER_ANNOTATION, "rr"))
    if message:
        findings.mistake(item.place("metadata", "annotations", SCHEDULER_ANNOTATION), message, todo)


def _warn_of_shared_addresses(items: Sequence[Item[Service]], findings: Findings) -> None:
    """Warn of one external address and port that two Services claim: a cluster holds that, no proxy can."""
    owners: dict[tuple[str, int, str], str] = {}
    for item in items:
        for (address, path), port in product(_external_addresses(item.object), item.object.spec.ports):
            owner = owners.setdefault((address, port.port, port.protocol), item.key)
            if owner != item.key:
                claimed = f"{address}:{port.port}/{port.protocol} is claimed by Service {owner}, too"
                effect = "iptables and IPVS mode serve one of them, nft refuses the whole transaction"
                findings.warn(item.place(*path), f"{claimed}: {effect}")


def _external_addresses(service: Service) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield every external IP and load balancer VIP of a Service with its path."""
    for index, address in enumerate(service.spec.external_ips):
        yield address, ("spec", "externalIPs", index)
    for index, entry in enumerate(service.status.load_balancer.ingress):
        if entry.ip and entry.ip_mode == "VIP":
            yield entry.ip, ("status", "loadBalancer", "ingress", index)


def _warn_of_unused(item: Item[Service], findings: Findings) -> None:
    spec = item.object.spec
    if spec.external_traffic_policy == "Local" and spec.type == "ClusterIP" and not spec.external_ips:
        unreached = "externalTrafficPolicy does nothing: this Service cannot be reached from outside"
        findings.warn(item.place("spec", "externalTrafficPolicy"), unreached)
    for index, address in enumerate(spec.external_ips):
        if not is_ipv4(address):
            passed = f"{shown(address)} is not an IPv4 address: kube-proxy passes over it"
            findings.warn(item.place("spec", "externalIPs", index), passed)
    for index, text in enumerate(spec.load_balancer_source_ranges):
        if doubt := _doubt_about_range(text.strip()):
            findings.warn(item.place("spec", "loadBalancerSourceRanges", index), doubt)


def _doubt_about_range(text: str) -> str:
    try:
        network = ipv4_network(text)
    except ValueError:
        return f"{shown(text)} is not an IPv4 CIDR: kube-proxy passes over it"
    if network.prefixlen:
        return ""
    return f"no ipset holds {text}: in IPVS mode it lets nobody in, in the others everybody"
