"""ClusterSpec -> AddressPlan: every name, link, index, MAC, address and route, before anything is built.

The network is the flat one that most clusters have. A bridge `lan0` in the namespace `lan` joins the nodes'
`eth0`. In each node a bridge `cni0` holds the first address of the node's pod CIDR and is its pods' gateway,
as the CNI plugin `bridge` sets it up, with hairpin mode so that a pod reaches itself through its Service.
Nodes route each other's pod CIDRs. Nothing is masqueraded but by kube-proxy: the client outside knows the
routes to the pods, as the router of a flat network does, and none to cluster IPs.

Everything follows from the cluster: two plans of one cluster are equal, and a build looks nothing up.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from labkit.errors import RequestError
from labkit.spec.addressplan import (
    QUIET,
    Address,
    AddressPlan,
    Interface,
    NamespacePlan,
    Neighbour,
    Route,
    look_up,
)
from labkit.spec.clients import OUTSIDE_BLOCKS, ClientPlan, networks_of, place_balancer, place_client
from labkit.spec.naming import BALANCER, LAN, check_names, namespace_name
from labkit.spec.sites import LAN_CIDR, Lan, Site, Tenant, client_tenant, neighbour_entries, routes_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.spec.balancer import BalancerPlan
    from labkit.spec.model import ClusterSpec, Pod

__all__ = ["AddressPlan", "ClientPlan", "plan_addresses"]

EVERYWHERE = "0.0.0.0/0"
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
    sites = [Site(node) for node in cluster.nodes]
    _check_networks(cluster, sites)
    taken = _taken_addresses(cluster, sites, clients, balancer)
    placed = _place_clients(sites, clients, taken)
    for site in sites:
        site.settle(inner_pods, placed)
    lan = Lan(sites, [client_tenant(client) for client in placed if client.node is None])
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


def _plan_node(site: Site, lan: Lan) -> NamespacePlan:
    addresses, routes = lan.address_on(site.uplink, site.address)
    addresses.append(Address(site.bridge, site.gateway, site.network.prefixlen))
    routes += lan.routes_from(site.name, site.uplink)
    for tenant in site.tenants:
        routes += routes_to(tenant, site.bridge, site.network)
    # Rules see a packet only after it was routed: without this one, no cluster IP could be refused or
    # reached from the node itself.
    routes.append(Route(site.uplink, EVERYWHERE))
    neighbours = [*lan.neighbours_of(site.name, site.uplink), *neighbour_entries(site.tenants, site.bridge)]
    return NamespacePlan(
        site.name, "node", site.bridge, tuple(addresses), tuple(routes), tuple(neighbours), NODE_SYSCTLS
    )


def _plan_tenant(tenant: Tenant, site: Site) -> NamespacePlan:
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
        neighbours += neighbour_entries(beside, interface)
        routes += [route for other in beside for route in routes_to(other, interface, site.network)]
    return NamespacePlan(
        tenant.name,
        tenant.kind,
        addresses=_addresses_on(interface, tenant.addresses, prefix_length),
        routes=tuple(routes),
        neighbours=tuple(neighbours),
        sysctls=CLIENT_SYSCTLS if tenant.kind == "client" else QUIET,
    )


def _plan_outside(tenant: Tenant, lan: Lan) -> NamespacePlan:
    first, routes = lan.address_on(tenant.interface, tenant.address)
    return NamespacePlan(
        tenant.name,
        tenant.kind,
        addresses=_addresses_on(tenant.interface, tenant.addresses, first[0].prefix_length),
        routes=(*routes, *lan.routes_from(tenant.name, tenant.interface)),
        neighbours=tuple(lan.neighbours_of(tenant.name, tenant.interface)),
        sysctls=CLIENT_SYSCTLS,
    )


def _balancer_tenant(balancer: BalancerPlan, taken: set[str]) -> Tenant:
    addresses = (place_balancer(taken), *balancer.addresses)
    return Tenant(BALANCER, "balancer", addresses, networks_of(addresses))


def _addresses_on(interface: Interface, addresses: Sequence[str], prefix_length: int) -> tuple[Address, ...]:
    first, *others = addresses
    return Address(interface, first, prefix_length), *(Address(interface, other, 32) for other in others)


def _taken_addresses(
    cluster: ClusterSpec,
    sites: Sequence[Site],
    clients: Sequence[ClientPlan],
    balancer: BalancerPlan | None,
) -> set[str]:
    taken = {pod.address for pod in cluster.pods} | {site.gateway for site in sites}
    taken |= {node.address for node in cluster.nodes}
    taken |= {address for client in clients for address in client.addresses}
    return taken | set(balancer.addresses if balancer else ())


def _place_clients(
    sites: Sequence[Site], clients: Sequence[ClientPlan], taken: set[str]
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


def _check_addresses(sites: Sequence[Site], on_lan: Iterable[Tenant]) -> None:
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


def _check_networks(cluster: ClusterSpec, sites: Sequence[Site]) -> None:
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
