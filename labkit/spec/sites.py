"""Who stands where in a lab's network: nodes with their tenants, and the network between the nodes.

Steps of `addressing.py`: which links there are, and which routes and neighbours each place needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.spec.addressplan import Address, Interface, Kind, LinkPlan, Neighbour, Route
from labkit.spec.clients import networks_of
from labkit.spec.naming import LAN, namespace_name, port_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labkit.spec.clients import ClientPlan
    from labkit.spec.model import Node, Pod

LAN_CIDR = IPv4Network("172.18.0.0/16")
INNER_INDEX, BRIDGE_INDEX, FIRST_PORT_INDEX = 2, 3, 10


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pod, a client or the balancer: who is plugged into a bridge with `eth0`."""

    name: str
    kind: Kind
    addresses: tuple[str, ...]
    networks: tuple[IPv4Network, ...]

    @property
    def address(self) -> str:
        """The first of its addresses; the others lie behind it."""
        return self.addresses[0]

    @property
    def title(self) -> str:
        """What an error calls it."""
        return "the load balancer" if self.kind == "balancer" else f"{self.kind} {self.name}"

    @property
    def interface(self) -> Interface:
        """Its `eth0`."""
        return Interface("eth0", INNER_INDEX, mac_of(self.address))


class Site:
    """A node with its pod network and who lives there."""

    def __init__(self, node: Node) -> None:
        self.name = node.name
        self.address = node.address
        self.network = IPv4Network(node.pod_cidr, strict=False)
        if self.network.prefixlen > 30:
            raise RequestError(
                f"the pod CIDR {node.pod_cidr} has no room for a gateway and a pod",
                where=f"node {node.name}",
                todo="use /30 or larger, /24 is usual",
            )
        self.gateway = str(self.network[1])
        self.uplink = Interface("eth0", INNER_INDEX, mac_of(node.address))
        self.bridge = Interface("cni0", BRIDGE_INDEX, mac_of(self.gateway))
        self.tenants: list[Tenant] = []
        self.clients: list[Tenant] = []

    def settle(self, pods: Iterable[Pod], clients: Iterable[ClientPlan]) -> None:
        """Take in the pods and clients that live on this node."""
        for pod in pods:
            if pod.node == self.name:
                address = IPv4Network(pod.address)
                self.tenants.append(Tenant(namespace_name(pod), "pod", (pod.address,), (address,)))
        self.clients = [client_tenant(client) for client in clients if client.node == self.name]
        self.tenants += self.clients

    def strangers(self) -> Iterator[IPv4Network]:
        """Yield what lives here and lies outside of the node's pod CIDR."""
        for tenant in self.tenants:
            yield from (network for network in tenant.networks if not network.subnet_of(self.network))

    def measured_beside(self, tenant: Tenant) -> list[Tenant]:
        """Return who on the same bridge exchanges measured traffic with this one: a client is one of two."""
        others = self.clients if tenant.kind == "pod" else self.tenants
        return [other for other in others if other is not tenant]

    def links(self) -> list[LinkPlan]:
        """Return the links of the tenants."""
        inner = [(tenant.name, tenant.interface) for tenant in self.tenants]
        return plan_links(self.name, self.bridge, inner, hairpin=True)


class Lan:
    """The network between the nodes, and who stands on it beside them: clients, and the balancer."""

    def __init__(self, sites: Sequence[Site], tenants: list[Tenant]) -> None:
        self.bridge = Interface("lan0", BRIDGE_INDEX, mac_of(str(LAN_CIDR[0])))
        self.sites = sites
        self.tenants = tenants

    def links(self) -> list[LinkPlan]:
        """Return the links of the nodes and of the others on the lan."""
        inner = [(site.name, site.uplink) for site in self.sites]
        inner += [(tenant.name, tenant.interface) for tenant in self.tenants]
        return plan_links(LAN, self.bridge, inner, hairpin=False)

    def address_on(self, interface: Interface, address: str) -> tuple[list[Address], list[Route]]:
        """Return the address and what it needs to see the whole lan from there."""
        if IPv4Address(address) in LAN_CIDR:
            return [Address(interface, address, LAN_CIDR.prefixlen)], []
        return [Address(interface, address, 32)], [Route(interface, str(LAN_CIDR))]

    def routes_from(self, name: str, interface: Interface) -> list[Route]:
        """Return the routes that `name` needs to all other nodes, their pods and the others on the lan."""
        others = [site for site in self.sites if site.name != name]
        routes = [
            Route(interface, f"{site.address}/32")
            for site in others
            if IPv4Address(site.address) not in LAN_CIDR
        ]
        for site in others:
            networks = (site.network, *site.strangers())
            routes += [Route(interface, str(network), site.address) for network in networks]
        for tenant in self.tenants:
            if tenant.name != name:
                routes += routes_to(tenant, interface, LAN_CIDR)
        return routes

    def neighbours_of(self, name: str, interface: Interface) -> list[Neighbour]:
        """Return the entries that `name` needs for the other nodes and the others on the lan."""
        neighbours = [
            Neighbour(interface, site.address, site.uplink.mac) for site in self.sites if site.name != name
        ]
        return neighbours + neighbour_entries(
            (tenant for tenant in self.tenants if tenant.name != name), interface
        )


def client_tenant(client: ClientPlan) -> Tenant:
    """Return a client that has its addresses as a tenant."""
    return Tenant(client.name, "client", client.addresses, networks_of(client.addresses))


def routes_to(tenant: Tenant, interface: Interface, on_link: IPv4Network) -> list[Route]:
    """Return routes to a tenant on the same link: its many addresses lie behind the first."""
    routes = []
    for network in tenant.networks:
        if network.prefixlen == 32 and str(network.network_address) == tenant.address:
            routes += [] if network.subnet_of(on_link) else [Route(interface, str(network))]
        else:
            routes.append(Route(interface, str(network), tenant.address, onlink=True))
    return routes


def neighbour_entries(tenants: Iterable[Tenant], interface: Interface) -> list[Neighbour]:
    """Return the permanent neighbour entries for tenants on the same link."""
    return [Neighbour(interface, tenant.address, tenant.interface.mac) for tenant in tenants]


def mac_of(address: str) -> str:
    """Return the MAC for `address`: 0a:58, locally administered, and its four bytes, as CNI plugins do."""
    return "0a:58:" + IPv4Address(address).packed.hex(":")


def plan_links(
    outer: str, bridge: Interface, inner: Sequence[tuple[str, Interface]], *, hairpin: bool
) -> list[LinkPlan]:
    """Return the links from a bridge to these namespaces, ports numbered from FIRST_PORT_INDEX on."""
    links = []
    for index, (port_name, (name, interface)) in enumerate(
        zip(port_names(name for name, _ in inner), inner, strict=True), FIRST_PORT_INDEX
    ):
        port = Interface(port_name, index, interface.mac.replace("0a:58", "fe:58"))
        links.append(LinkPlan(outer, bridge, port, name, interface, hairpin))
    return links
