"""Services: checked as the API checks them, with the cluster IPs and node ports it would assign.

What a manifest says is never changed; what it leaves out is taken from `SERVICE_RANGE` and `NODE_PORTS` in the order of
the Services. A Service that carries `clusterIPs` has been through an API server: nothing is added to its ports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from labkit.spec import model
from labkit.spec.fields import ipv4_network, is_ipv4
from labkit.spec.wording import shown
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.spec.objects import Service, ServicePort
    from labkit.spec.manifest import Item
    from labkit.spec.documents import Findings
    from collections.abc import Iterator, Mapping, Sequence

SERVICE_RANGE = IPv4Network("10.96.0.0/12")
FIRST_CLUSTER_IP = 10
NODE_PORTS = range(30_000, 32_768)


class Occupied:
    """Addresses that no Service may have: those of the nodes, and every one in their pod networks."""

    def __init__(self, nodes: Sequence[model.Node]) -> None:
        self._addresses = {node.address: f"node {node.name}" for node in nodes}
        self._networks = [(IPv4Network(node.pod_cidr), node.name) for node in nodes]
        self._spans = [
            (int(net[0]), int(net[-1]), f"node {name}'s pod network {net}") for net, name in self._networks
        ]

    def holder(self, address: str) -> str:
        """Return who has an address, "" if nobody."""
        number = int(IPv4Address(address))
        within = (who for first, last, who in self._spans if first <= number <= last)
        return self._addresses.get(address) or next(within, "")

    def meets(self, network: IPv4Network) -> bool:
        """Tell whether anything occupied lies in a network."""
        inside = any(IPv4Address(address) in network for address in self._addresses)
        return inside or any(network.overlaps(other) for other, _ in self._networks)


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A Service, and what its endpoints need to know of its manifest."""

    service: model.Service
    item: Item[Service] = field(repr=False)

    @property
    def publishes_not_ready(self) -> bool:
        """Whether pods that are not ready count as ready."""
        return self.item.object.spec.publish_not_ready_addresses


def plan_services(
    items: Sequence[Item[Service]], occupied: Occupied, findings: Findings
) -> tuple[tuple[PlannedService, ...], str]:
    """Return the Services in the order of the manifests, and the service CIDR.

    Raises nothing: what the API would refuse goes to `findings`.
    """
    for item in items:
        _check(item, findings)
    given = _given_cluster_ips(items, occupied, findings)
    cidr = _service_cidr(items, given, occupied, findings)
    free_ips = _free_cluster_ips(cidr, frozenset(given.values()), occupied)
    used = _given_node_ports(items, findings)
    free_ports = (port for port in NODE_PORTS if port not in used)
    planned = []
    for item in items:
        ports, health_port = _with_node_ports(item, free_ports, findings)
        cluster_ip = given.get(_key(item)) or _new_cluster_ip(item, free_ips, cidr, findings)
        planned.append(PlannedService(_service(item, cluster_ip, ports, health_port), item))
    return tuple(planned), str(cidr)


def _key(item: Item[Service]) -> str:
    return f"{item.namespace}/{item.name}"


def _service(
    item: Item[Service], cluster_ip: str, ports: tuple[model.ServicePort, ...], health_port: int
) -> model.Service:
    metadata, spec = item.object.metadata, item.object.spec
    sticky = spec.session_affinity == "ClientIP"
    ingress = (entry for entry in item.object.status.load_balancer.ingress if entry.ip)
    return model.Service(
        namespace=metadata.namespace,
        name=metadata.name,
        type=spec.type,
        cluster_ip=cluster_ip,
        ports=ports,
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
        external_name=spec.external_name if spec.type == "ExternalName" else "",
    )


# ---- what the API refuses ----


def _check(item: Item[Service], findings: Findings) -> None:
    spec = item.object.spec
    headless = spec.cluster_ip == "None"
    if spec.type == "ExternalName":
        if not spec.external_name:
            findings.mistake(
                item.place("spec"), "spec.externalName is missing", "an ExternalName Service is a DNS name"
            )
        return
    if not spec.ports and not headless:
        findings.mistake(
            item.place("spec", "ports"),
            f"Service {item.name} has no ports",
            "write at least one port under spec.ports",
        )
    if headless and spec.type != "ClusterIP":
        findings.mistake(
            item.place("spec", "clusterIP"),
            f"a {spec.type} Service cannot be headless",
            "leave clusterIP out",
        )
    if spec.ip_families and "IPv4" not in spec.ip_families:
        findings.mistake(item.place("spec", "ipFamilies"), f"Service {item.name} is IPv6 only: the lab speaks IPv4",
                         "add IPv4 to ipFamilies")  # fmt: skip
    _check_ports(item, findings)
    _check_unused(item, findings)


def _check_ports(item: Item[Service], findings: Findings) -> None:
    ports = item.object.spec.ports
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        if not port.name and len(ports) > 1:
            findings.mistake(item.place("spec", "ports", index), f"spec.ports[{index}].name is missing",
                             "a Service with several ports names each of them")  # fmt: skip
        if port.name and port.name in names:
            findings.mistake(
                item.place("spec", "ports", index, "name"),
                f"port name {port.name} is given twice",
                "name each port differently",
            )
        if (port.port, port.protocol) in numbers:
            findings.mistake(
                item.place("spec", "ports", index, "port"),
                f"port {port.port}/{port.protocol} is given twice",
                "a Service has each port once",
            )
        if port.node_port and item.object.spec.type == "ClusterIP":
            findings.mistake(item.place("spec", "ports", index, "nodePort"), "a ClusterIP Service has no node ports",
                             "add type: NodePort, or leave nodePort out")  # fmt: skip
        names.add(port.name)
        numbers.add((port.port, port.protocol))


def _check_unused(item: Item[Service], findings: Findings) -> None:
    spec = item.object.spec
    if spec.external_traffic_policy == "Local" and spec.type == "ClusterIP" and not spec.external_ips:
        findings.warn(
            item.place("spec", "externalTrafficPolicy"),
            "externalTrafficPolicy does nothing for a Service that cannot be reached from outside",
        )
    for index, address in enumerate(spec.external_ips):
        if not is_ipv4(address.strip()):
            findings.warn(
                item.place("spec", "externalIPs", index),
                f"{shown(address)} is not an IPv4 address: kube-proxy passes over it",
            )
    for index, text in enumerate(spec.load_balancer_source_ranges):
        try:
            ipv4_network(text.strip())
        except ValueError:
            findings.warn(
                item.place("spec", "loadBalancerSourceRanges", index),
                f"{shown(text)} is not an IPv4 CIDR: kube-proxy passes over it",
            )


# ---- cluster IPs ----


def _given_cluster_ips(
    items: Sequence[Item[Service]], occupied: Occupied, findings: Findings
) -> dict[str, str]:
    """Return the cluster IP that each Service brings with it ("None" for a headless one)."""
    given: dict[str, str] = {}
    owner: dict[str, str] = {}
    for item in items:
        address = _written_cluster_ip(item, findings)
        if not address:
            continue
        given[_key(item)] = address
        if address == "None":
            continue
        holder = owner.setdefault(address, f"Service {_key(item)}")
        if holder == f"Service {_key(item)}":
            holder = occupied.holder(address)
        if holder:
            findings.mistake(
                item.place("spec", "clusterIP"),
                f"{address} belongs to {holder}",
                "leave clusterIP out, or choose a free one",
            )
    return given


def _written_cluster_ip(item: Item[Service], findings: Findings) -> str:
    spec = item.object.spec
    if spec.type == "ExternalName":
        return ""
    written = [address for address in (spec.cluster_ip, *spec.cluster_ips) if address]
    address = next((address for address in written if ":" not in address), "")
    if address in ("", "None") or is_ipv4(address):
        if written and not address and not spec.ip_families:
            findings.mistake(item.place("spec", "clusterIP"), f"Service {item.name} is IPv6 only: the lab speaks IPv4",
                             "give it an IPv4 clusterIP, or none")  # fmt: skip
        return address
    findings.mistake(item.place("spec", "clusterIP"), f"{address!r} is not an IPv4 address",
                     'write an address such as 10.96.0.10, "None" for a headless Service, or leave clusterIP out')  # fmt: skip
    return ""


def _service_cidr(
    items: Sequence[Item[Service]], given: Mapping[str, str], occupied: Occupied, findings: Findings
) -> IPv4Network:
    """Return SERVICE_RANGE, or the network (at least a /16) around cluster IPs that lie elsewhere, if it is a small one."""
    addresses = [IPv4Address(address) for address in given.values() if address != "None"]
    outside = [address for address in addresses if address not in SERVICE_RANGE]
    if not outside:
        return SERVICE_RANGE
    around = IPv4Network((outside[0], 16), strict=False)
    while around.prefixlen > SERVICE_RANGE.prefixlen and not all(address in around for address in addresses):
        around = around.supernet()
    if all(address in around for address in addresses) and not occupied.meets(around):
        return around
    item = next(item for item in items if given.get(_key(item)) == str(outside[0]))
    findings.warn(
        item.place("spec", "clusterIP"), f"{outside[0]} is outside the service CIDR {SERVICE_RANGE}"
    )
    return SERVICE_RANGE


def _free_cluster_ips(cidr: IPv4Network, given: frozenset[str], occupied: Occupied) -> Iterator[str]:
    first = int(cidr.network_address)
    candidates = (
        str(IPv4Address(first + offset)) for offset in range(FIRST_CLUSTER_IP, cidr.num_addresses - 1)
    )
    return (address for address in candidates if address not in given and not occupied.holder(address))


def _new_cluster_ip(item: Item[Service], free: Iterator[str], cidr: IPv4Network, findings: Findings) -> str:
    if item.object.spec.type == "ExternalName":
        return ""
    address = next(free, "")
    if not address:
        findings.mistake(
            item.place(), f"no cluster IP is left in {cidr}", "give the Service one in spec.clusterIP"
        )
    return address


# ---- node ports ----


def _given_node_ports(items: Sequence[Item[Service]], findings: Findings) -> frozenset[int]:
    """Return every node port that a manifest names; one port serves one Service port of a protocol."""
    owner: dict[tuple[int, str], str] = {}
    for item in items:
        named = [(port.node_port, port.protocol, ("ports", index, "nodePort"))
                 for index, port in enumerate(item.object.spec.ports)]  # fmt: skip
        named.append((item.object.spec.health_check_node_port, "TCP", ("healthCheckNodePort",)))
        for number, protocol, path in named:
            if not number:
                continue
            place = (
                item.place("spec", *path) if (number, protocol) in owner or number not in NODE_PORTS else None
            )
            if place and (number, protocol) in owner:
                findings.mistake(
                    place,
                    f"node port {number}/{protocol} is Service {owner[number, protocol]}'s",
                    "leave it out, or choose a free one",
                )
            elif place:
                findings.warn(
                    place,
                    f"node port {number} is outside {NODE_PORTS[0]}-{NODE_PORTS[-1]}: most clusters would refuse it",
                )
            owner.setdefault((number, protocol), _key(item))
    return frozenset(number for number, _ in owner)


def _with_node_ports(
    item: Item[Service], free: Iterator[int], findings: Findings
) -> tuple[tuple[model.ServicePort, ...], int]:
    """Return the Service's ports with their node ports, and its health check node port."""
    spec = item.object.spec
    admitted = bool(spec.cluster_ips)
    assigned = spec.type == "NodePort" or (
        spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports
    )
    shared: dict[int, int] = {}
    ports = []
    for port in spec.ports:
        node_port = port.node_port
        if not node_port and assigned and not admitted:
            # One number serves both protocols of one port (DNS), as the API's own allocator does.
            node_port = shared[port.port] if port.port in shared else _new_node_port(item, free, findings)
        shared[port.port] = node_port
        ports.append(_port(port, node_port))
    health = spec.health_check_node_port
    checked = spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"
    if not health and checked and not admitted:
        health = _new_node_port(item, free, findings)
    return tuple(ports), health


def _new_node_port(item: Item[Service], free: Iterator[int], findings: Findings) -> int:
    port = next(free, 0)
    if not port:
        findings.mistake(
            item.place("spec", "ports"), f"no node port is left in {NODE_PORTS[0]}-{NODE_PORTS[-1]}"
        )
    return port


def _port(port: ServicePort, node_port: int) -> model.ServicePort:
    target = port.target_port if port.target_port is not None else port.port
    return model.ServicePort(port.name, port.protocol, port.port, target, node_port)
