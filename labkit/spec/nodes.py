"""Nodes: their addresses, the addresses of their pods, and which of them take pods.

Without any Node there are two. Addresses that a manifest does not give come from `NODE_RANGE` and
`POD_RANGE`, in the order of the nodes, as a kind cluster with flannel would give them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.clients import client_block
from labkit.spec.fields import ipv4_network
from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.documents import Findings, Place
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Node

NODE_RANGE = IPv4Network("172.18.0.0/16")
POD_RANGE = IPv4Network("10.244.0.0/16")
FIRST_NODE = 11  # 172.18.0.11
GATEWAY = 1
FIRST_POD = 2
NODE_MASK_SIZE = 24  # of a pod CIDR that no manifest gives: kube-controller-manager's own default
SHORTEST_PREFIX = 8
DEFAULT_NODES = ("node-1", "node-2")


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node of the cluster, and what the scheduler needs to know of it."""

    node: model.Node
    schedulable: bool = True
    item: Item[Node] | None = field(default=None, repr=False)

    @property
    def network(self) -> IPv4Network:
        """Where the node's pods have their addresses."""
        return IPv4Network(self.node.pod_cidr)

    def has_labels(self, wanted: Mapping[str, str]) -> bool:
        """Tell whether a nodeSelector picks this node; a node has the labels every kubelet sets, too."""
        own = {
            "kubernetes.io/hostname": self.node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        have = {**own, **self.node.labels}
        return all(have.get(key) == value for key, value in wanted.items())


def plan_nodes(items: Sequence[Item[Node]], findings: Findings) -> tuple[PlannedNode, ...]:
    """Return the cluster's nodes in the order of the manifests, each with an address and a pod CIDR."""
    if not items:
        return tuple(_default_nodes())
    addresses = _given_addresses(items, findings)
    networks = _given_networks(items, findings)
    free_addresses = _free_addresses(frozenset(addresses.values()))
    free_networks = _free_networks(tuple(networks.values()))
    planned = []
    for item in items:
        network = networks.get(item.name) or next(free_networks, None)
        if network is None:
            findings.mistake(
                item.place(),
                f"no pod CIDR is left for node {item.name} in {POD_RANGE}",
                "give it one in spec.podCIDR",
            )
            break
        address = addresses.get(item.name) or next(free_addresses)
        node = model.Node(item.name, address, str(network), item.object.metadata.labels)
        planned.append(PlannedNode(node, _takes_pods(item.object), item))
    _refuse_addresses_in_networks(planned, findings)
    return tuple(planned)


def pod_cidr_of(nodes: Sequence[PlannedNode]) -> str:
    """Return the cluster's pod CIDR: POD_RANGE, or the smallest around nodes that have theirs elsewhere."""
    if all(node.network.subnet_of(POD_RANGE) for node in nodes):
        return str(POD_RANGE)
    around = nodes[0].network
    while not all(node.network.subnet_of(around) for node in nodes):
        around = around.supernet()
    return str(around)


def pod_addresses(network: IPv4Network) -> Iterator[str]:
    """Yield the addresses that pods of a node may get: all but the gateway's, the lab's clients' last.

    So the clients have the same addresses in every lab (.128 to .191 in a /24) unless a node is that full.
    """
    kept = client_block(network)
    first, broadcast = int(network[0]) + FIRST_POD, int(network[-1])
    free = (IPv4Address(number) for number in range(first, broadcast))
    yield from (str(address) for address in free if address not in kept)
    yield from (str(address) for address in kept if first <= int(address) < broadcast)


def _default_nodes() -> Iterator[PlannedNode]:
    networks, addresses = _free_networks(()), _free_addresses(frozenset())
    for name, network, address in zip(DEFAULT_NODES, networks, addresses, strict=False):
        yield PlannedNode(model.Node(name, address, str(network), {}))


def _free_networks(taken: Sequence[IPv4Network]) -> Iterator[IPv4Network]:
    # 10.244.0.0/24 is left out so that node-1's pods are in 10.244.1.0/24.
    for network in islice(POD_RANGE.subnets(new_prefix=NODE_MASK_SIZE), 1, None):
        if not any(network.overlaps(other) for other in taken):
            yield network


def _free_addresses(taken: frozenset[str]) -> Iterator[str]:
    first = int(NODE_RANGE.network_address)
    candidates = (
        str(IPv4Address(first + offset)) for offset in range(FIRST_NODE, NODE_RANGE.num_addresses - 1)
    )
    return (address for address in candidates if address not in taken)


def _takes_pods(node: Node) -> bool:
    repelled = any(taint.effect in ("NoSchedule", "NoExecute") for taint in node.spec.taints)
    return not node.spec.unschedulable and not repelled


def _given_addresses(items: Sequence[Item[Node]], findings: Findings) -> dict[str, str]:
    """Return each node's first IPv4 InternalIP, or without one its first ExternalIP, where it has any."""
    given: dict[str, str] = {}
    first: dict[str, str] = {}
    for item in items:
        usable = [
            (index, address.address)
            for kind in ("InternalIP", "ExternalIP")
            for index, address in enumerate(item.object.status.addresses)
            if address.type == kind and ":" not in address.address
        ]
        if not usable:
            continue
        index, address = usable[0]
        path = ("status", "addresses", index, "address")
        if not is_ipv4(address):
            findings.mistake(
                item.place(*path), f"{address!r} is not an IPv4 address", "write four numbers of 0-255"
            )
        elif address in first:
            findings.mistake(
                item.place(*path), f"{address} is node {first[address]}'s address", "give each its own"
            )
        else:
            given[item.name], first[address] = address, item.name
    return given


def _given_networks(items: Sequence[Item[Node]], findings: Findings) -> dict[str, IPv4Network]:
    """Return each node's IPv4 pod CIDR, where it has one."""
    given: dict[str, IPv4Network] = {}
    for item in items:
        spec = item.object.spec
        written = [cidr for cidr in (spec.pod_cidr, *spec.pod_cidrs) if cidr and ":" not in cidr]
        if not written:
            if spec.pod_cidr or spec.pod_cidrs:
                findings.mistake(
                    _network_place(item),
                    f"node {item.name} has IPv6 pods only: the lab speaks IPv4",
                    "give it an IPv4 podCIDR",
                )
            continue
        network = ipv4_network(written[0])
        if network.prefixlen < SHORTEST_PREFIX:
            findings.mistake(
                _network_place(item),
                f"{network} is no network of one node's pods",
                f"give it a /{SHORTEST_PREFIX} or smaller, /{NODE_MASK_SIZE} is usual",
            )
        other = next((name for name, taken in given.items() if taken.overlaps(network)), "")
        if other:
            findings.mistake(
                _network_place(item),
                f"{network} overlaps node {other}'s {given[other]}",
                "give each node its own podCIDR",
            )
        given[item.name] = network
    return given


def _network_place(item: Item[Node]) -> Place:
    return item.place("spec", "podCIDR" if item.object.spec.pod_cidr else "podCIDRs")


def _refuse_addresses_in_networks(nodes: Sequence[PlannedNode], findings: Findings) -> None:
    for planned in nodes:
        address = IPv4Address(planned.node.address)
        inside = next((other.node for other in nodes if address in other.network), None)
        if inside is not None and planned.item is not None:
            findings.mistake(
                planned.item.place("status", "addresses"),
                f"{address} lies in node {inside.name}'s pod CIDR {inside.pod_cidr}",
                "keep nodes and pods in networks of their own",
            )
