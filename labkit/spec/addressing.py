"""ClusterSpec -> AddressPlan: every name, link, index, MAC, address and route, before anything is built.

The network is the flat one that most clusters have. A bridge `lan0` in the namespace `lan` joins the nodes'
`eth0`. In each node a bridge `cni0` holds the first address of the node's pod CIDR and is its pods' gateway,
as the CNI plugin `bridge` sets it up, with hairpin mode so that a pod reaches itself through its Service.
Nodes route each other's pod CIDRs. Nothing is masqueraded but by kube-proxy: the client outside knows the
routes to the pods, as the router of a flat network does, and none to cluster IPs.

Everything follows from the cluster: two plans of one cluster are equal, and a build looks nothing up.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from labkit.errors import RequestError
from labkit.spec.addressplan import (
    QUIET,
    Address,
    AddressPlan,
    Interface,
    Kind,
    LinkPlan,
    NamespacePlan,
    Neighbour,
    Route,
    look_up,
)
from labkit.spec.clients import OUTSIDE_BLOCKS, ClientPlan, networks_of, place_balancer, place_client
from labkit.spec.naming import BALANCER, LAN, check_names, namespace_name, port_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.spec.balancer import BalancerPlan
    from labkit.spec.model import ClusterSpec, Node, Pod

__all__ = ["AddressPlan", "ClientPlan", "plan_addresses"]

LAN_CIDR = IPv4Network("172.18.0.0/16")
EVERYWHERE = "0.0.0.0/0"
INNER_INDEX, BRIDGE_INDEX, FIRST_PORT_INDEX = 2, 3, 10
LAN_SYSCTLS = (*QUIET, ("net/bridge/bridge-nf-call-iptables", "0"))
NODE_SYSCTLS = (
    ("net/ipv4/ip_forward", "1"),  # first: it sets other settings back
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    *QUIET,
)
CLIENT_SYSCTLS = (*QUIET, ("net/ipv4/ip_local_port_range", "1024 65535"))

T = TypeVar("T")


def plan_addresses(
    cluster: ClusterSpec,
    clients: Sequence[ClientPlan] | None = None,
    balancer: BalancerPlan | None = None,
) -> AddressPlan:
    """Plan the network of a cluster and its clients: by default `client` on the first node, and `outside`.

    A balancer stands on the nodes' network with an address of its own, and its other addresses lie behind it.
    Raises RequestError where two things would have one name or one address, or networks overlap.
    """
    if clients is None:
        clients = (ClientPlan("client", cluster.nodes[0].name), ClientPlan("outside"))
    nodes = {node.name: node for node in cluster.nodes}
    inner_pods = [pod for pod in cluster.pods if pod.address != _node(nodes, pod.node, pod.key).address]
    _check_names(cluster, inner_pods, clients, balancer)
    sites = [_Site(node) for node in cluster.nodes]
    _check_networks(cluster, sites)
    taken = _taken_addresses(cluster, sites, clients, balancer)
    placed = _place_clients(sites, clients, taken)
    for site in sites:
        site.settle(inner_pods, placed)
    lan = _Lan(sites, [_client_tenant(client) for client in placed if client.node is None])
    if balancer is not None:
        lan.tenants.append(_balancer_tenant(balancer, taken))
    _check_addresses(sites, lan.tenants)
    namespaces = (
        NamespacePlan(LAN, "lan", bridge=lan.bridge, sysctls=LAN_SYSCTLS),
        *(_plan_node(site, lan) for site in sites),
        *(_plan_tenant(tenant, site) for site in sites for tenant in site.tenants),
        *(_plan_outside(tenant, lan) for tenant in lan.tenants),
    )
    links = [*lan.links(), *(link for site in sites for link in site.links())]
    inner_names = {pod.key: namespace_name(pod) for pod in inner_pods}
    pod_names = {pod.key: inner_names.get(pod.key, pod.node) for pod in cluster.pods}
    return AddressPlan(namespaces, tuple(links), {client.name: client for client in placed}, pod_names)


@dataclass(frozen=True, slots=True)
class _Tenant:
    """A pod, a client or the balancer: who is plugged into a bridge with `eth0`."""

    name: str
    kind: Kind
    addresses: tuple[str, ...]
    networks: tuple[IPv4Network, ...]

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def title(self) -> str:
        return "the load balancer" if self.kind == "balancer" else f"{self.kind} {self.name}"

    @property
    def interface(self) -> Interface:
        return Interface("eth0", INNER_INDEX, mac_of(self.address))


class _Site:
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
        self.tenants: list[_Tenant] = []
        self.clients: list[_Tenant] = []

    def settle(self, pods: Iterable[Pod], clients: Iterable[ClientPlan]) -> None:
        for pod in pods:
            if pod.node == self.name:
                address = IPv4Network(pod.address)
                self.tenants.append(_Tenant(namespace_name(pod), "pod", (pod.address,), (address,)))
        self.clients = [_client_tenant(client) for client in clients if client.node == self.name]
        self.tenants += self.clients

    def strangers(self) -> Iterator[IPv4Network]:
        """Yield what lives here and lies outside of the node's pod CIDR."""
        for tenant in self.tenants:
            yield from (network for network in tenant.networks if not network.subnet_of(self.network))

    def measured_beside(self, tenant: _Tenant) -> list[_Tenant]:
        """Return who on the same bridge exchanges measured traffic with this one: a client is one of two."""
        others = self.clients if tenant.kind == "pod" else self.tenants
        return [other for other in others if other is not tenant]

    def links(self) -> list[LinkPlan]:
        inner = [(tenant.name, tenant.interface) for tenant in self.tenants]
        return _plan_links(self.name, self.bridge, inner, hairpin=True)


class _Lan:
    """The network between the nodes, and who stands on it beside them: clients, and the balancer."""

    def __init__(self, sites: Sequence[_Site], tenants: list[_Tenant]) -> None:
        self.bridge = Interface("lan0", BRIDGE_INDEX, mac_of(str(LAN_CIDR[0])))
        self.sites = sites
        self.tenants = tenants

    def links(self) -> list[LinkPlan]:
        inner = [(site.name, site.uplink) for site in self.sites]
        inner += [(tenant.name, tenant.interface) for tenant in self.tenants]
        return _plan_links(LAN, self.bridge, inner, hairpin=False)

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
                routes += _routes_to(tenant, interface, LAN_CIDR)
        return routes

    def neighbours_of(self, name: str, interface: Interface) -> list[Neighbour]:
        neighbours = [
            Neighbour(interface, site.address, site.uplink.mac) for site in self.sites if site.name != name
        ]
        return neighbours + _neighbours((tenant for tenant in self.tenants if tenant.name != name), interface)


def _plan_node(site: _Site, lan: _Lan) -> NamespacePlan:
    addresses, routes = lan.address_on(site.uplink, site.address)
    addresses.append(Address(site.bridge, site.gateway, site.network.prefixlen))
    routes += lan.routes_from(site.name, site.uplink)
    for tenant in site.tenants:
        routes += _routes_to(tenant, site.bridge, site.network)
    # Rules see a packet only after it was routed: without this one, no cluster IP could be refused or
    # reached from the node itself.
    routes.append(Route(site.uplink, EVERYWHERE))
    neighbours = [*lan.neighbours_of(site.name, site.uplink), *_neighbours(site.tenants, site.bridge)]
    return NamespacePlan(
        site.name, "node", site.bridge, tuple(addresses), tuple(routes), tuple(neighbours), NODE_SYSCTLS
    )


def _plan_tenant(tenant: _Tenant, site: _Site) -> NamespacePlan:
    """Plan a pod, or a client as a pod. Clients know the pods' MACs and pods theirs: no ARP is measured."""
    interface = tenant.interface
    inside = IPv4Address(tenant.address) in site.network
    prefix_length = site.network.prefixlen if inside else 32
    routes = [Route(interface, EVERYWHERE, site.gateway, onlink=not inside)]
    neighbours = [Neighbour(interface, site.gateway, site.bridge.mac)]
    if inside:
        beside = [
            other for other in site.measured_beside(tenant) if IPv4Address(other.address) in site.network
        ]
        neighbours += _neighbours(beside, interface)
        routes += [route for other in beside for route in _routes_to(other, interface, site.network)]
    return NamespacePlan(
        tenant.name,
        tenant.kind,
        addresses=_addresses_on(interface, tenant.addresses, prefix_length),
        routes=tuple(routes),
        neighbours=tuple(neighbours),
        sysctls=CLIENT_SYSCTLS if tenant.kind == "client" else QUIET,
    )


def _plan_outside(tenant: _Tenant, lan: _Lan) -> NamespacePlan:
    first, routes = lan.address_on(tenant.interface, tenant.address)
    return NamespacePlan(
        tenant.name,
        tenant.kind,
        addresses=_addresses_on(tenant.interface, tenant.addresses, first[0].prefix_length),
        routes=(*routes, *lan.routes_from(tenant.name, tenant.interface)),
        neighbours=tuple(lan.neighbours_of(tenant.name, tenant.interface)),
        sysctls=CLIENT_SYSCTLS,
    )


def mac_of(address: str) -> str:
    """Return the MAC for `address`: 0a:58, locally administered, and its four bytes, as CNI plugins do."""
    return "0a:58:" + IPv4Address(address).packed.hex(":")


def _plan_links(
    outer: str, bridge: Interface, inner: Sequence[tuple[str, Interface]], *, hairpin: bool
) -> list[LinkPlan]:
    links = []
    for index, (port_name, (name, interface)) in enumerate(
        zip(port_names(name for name, _ in inner), inner, strict=True), FIRST_PORT_INDEX
    ):
        port = Interface(port_name, index, interface.mac.replace("0a:58", "fe:58"))
        links.append(LinkPlan(outer, bridge, port, name, interface, hairpin))
    return links


def _client_tenant(client: ClientPlan) -> _Tenant:
    return _Tenant(client.name, "client", client.addresses, networks_of(client.addresses))


def _balancer_tenant(balancer: BalancerPlan, taken: set[str]) -> _Tenant:
    addresses = (place_balancer(taken), *balancer.addresses)
    return _Tenant(BALANCER, "balancer", addresses, networks_of(addresses))


def _addresses_on(interface: Interface, addresses: Sequence[str], prefix_length: int) -> tuple[Address, ...]:
    first, *others = addresses
    return Address(interface, first, prefix_length), *(Address(interface, other, 32) for other in others)


def _routes_to(tenant: _Tenant, interface: Interface, on_link: IPv4Network) -> list[Route]:
    """Return routes to a tenant on the same link: its many addresses lie behind the first."""
    routes = []
    for network in tenant.networks:
        if network.prefixlen == 32 and str(network.network_address) == tenant.address:
            routes += [] if network.subnet_of(on_link) else [Route(interface, str(network))]
        else:
            routes.append(Route(interface, str(network), tenant.address, onlink=True))
    return routes


def _neighbours(tenants: Iterable[_Tenant], interface: Interface) -> list[Neighbour]:
    return [Neighbour(interface, tenant.address, tenant.interface.mac) for tenant in tenants]


def _taken_addresses(
    cluster: ClusterSpec,
    sites: Sequence[_Site],
    clients: Sequence[ClientPlan],
    balancer: BalancerPlan | None,
) -> set[str]:
    taken = {pod.address for pod in cluster.pods} | {site.gateway for site in sites}
    taken |= {node.address for node in cluster.nodes}
    taken |= {address for client in clients for address in client.addresses}
    return taken | set(balancer.addresses if balancer else ())


def _place_clients(
    sites: Sequence[_Site], clients: Sequence[ClientPlan], taken: set[str]
) -> tuple[ClientPlan, ...]:
    """Return the clients with addresses, which are `taken` then."""
    networks = {site.name: site.network for site in sites}
    placed = []
    for client in clients:
        if client.node is not None:
            _node(networks, client.node, client.name)
        within = OUTSIDE_BLOCKS if client.node is None else networks[client.node]
        placed.append(place_client(client, within, taken))
        taken.update(placed[-1].addresses)
    return tuple(placed)


def _check_names(
    cluster: ClusterSpec, pods: Iterable[Pod], clients: Iterable[ClientPlan], balancer: BalancerPlan | None
) -> None:
    check_names(
        [
            (LAN, "the network between the nodes"),
            *((node.name, f"node {node.name}") for node in cluster.nodes),
            *((namespace_name(pod), f"pod {pod.key}") for pod in pods),
            *((client.name, f"the lab's client {client.name}") for client in clients),
            *([(BALANCER, "the load balancer")] if balancer else []),
        ]
    )


def _check_addresses(sites: Sequence[_Site], on_lan: Iterable[_Tenant]) -> None:
    owners: dict[str, str] = {}
    wanted = [(site.address, f"node {site.name}") for site in sites]
    wanted += [(site.gateway, f"the gateway cni0 of node {site.name}") for site in sites]
    for tenant in (*(tenant for site in sites for tenant in site.tenants), *on_lan):
        wanted += [(address, tenant.title) for address in tenant.addresses]
    for address, owner in wanted:
        if address in owners:
            raise RequestError(
                f"{owners[address]} and {owner} both have the address {address}",
                where="addresses of nodes, pods and clients",
                todo="give one of them another address",
            )
        owners[address] = owner


def _check_networks(cluster: ClusterSpec, sites: Sequence[_Site]) -> None:
    networks = [("the network between the nodes", LAN_CIDR)]
    networks += [("the Services", IPv4Network(cluster.service_cidr, strict=False))]
    networks += [(f"the pods of {site.name}", site.network) for site in sites]
    ordered = sorted(networks, key=lambda entry: (int(entry[1].network_address), entry[1].prefixlen))
    for (owner, network), (other, following) in pairwise(ordered):
        if network.overlaps(following):
            raise RequestError(
                f"{owner} ({network}) and {other} ({following}) overlap",
                where="networks of the cluster",
                todo="choose pod and Service CIDRs that overlap neither each other nor 172.18.0.0/16",
            )


def _node(nodes: Mapping[str, T], name: str, wanted_by: str) -> T:
    return look_up(nodes, name, f"node for {wanted_by}, called")
