"""Cluster IPs: those that Services bring with them, and those that an API server gives the others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec import model
    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Service

SERVICE_RANGE = IPv4Network("10.96.0.0/12")
FIRST_CLUSTER_IP = 10  # .1 is the API server's, .2-.9 are left to what a cluster brings itself


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


def assign_cluster_ips(
    items: Sequence[Item[Service]], occupied: Occupied, findings: Findings
) -> tuple[dict[str, str], str]:
    """Return the cluster IP of each Service by its key, and the service CIDR.

    It is "None" for a headless Service and "" for ExternalName. What a manifest says stays; the others get
    the free addresses of the service CIDR in the order of the Services.
    """
    given = _given_cluster_ips(items, occupied, findings)
    cidr = _service_cidr(items, given, occupied, findings)
    free = _free_cluster_ips(cidr, frozenset(given.values()), occupied)
    assigned = {
        item.key: given.get(item.key) or _new_cluster_ip(item, free, cidr, findings) for item in items
    }
    return assigned, str(cidr)


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
        given[item.key] = address
        if address == "None":
            continue
        holder = owner.setdefault(address, f"Service {item.key}")
        if holder == f"Service {item.key}":
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
            findings.mistake(
                item.place("spec", "clusterIP"),
                f"Service {item.name} is IPv6 only: the lab speaks IPv4",
                "give it an IPv4 clusterIP, or none",
            )
        return address
    findings.mistake(
        item.place("spec", "clusterIP"),
        f"{address!r} is not an IPv4 address",
        'write an address such as 10.96.0.10, "None" for a headless Service, or leave clusterIP out',
    )
    return ""


def _service_cidr(
    items: Sequence[Item[Service]], given: Mapping[str, str], occupied: Occupied, findings: Findings
) -> IPv4Network:
    """Return SERVICE_RANGE, or the network around cluster IPs that lie elsewhere.

    That network is a /16, or larger up to a /12; where even that does not hold all, SERVICE_RANGE stays.
    """
    addresses = [IPv4Address(address) for address in given.values() if address != "None"]
    outside = [address for address in addresses if address not in SERVICE_RANGE]
    if not outside:
        return SERVICE_RANGE
    around = IPv4Network((outside[0], 16), strict=False)
    while around.prefixlen > SERVICE_RANGE.prefixlen and not all(address in around for address in addresses):
        around = around.supernet()
    if all(address in around for address in addresses) and not occupied.meets(around):
        return around
    item = next(item for item in items if given.get(item.key) == str(outside[0]))
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
