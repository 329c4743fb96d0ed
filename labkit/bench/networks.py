"""The network that is built in benchmarks: so many pods on two nodes. Its plan."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.spec.addressing import plan_addresses
from labkit.spec.model import ClusterSpec, Node, Pod

if TYPE_CHECKING:
    from labkit.spec.addressplan import AddressPlan

NODES = (Node("node-1", "172.18.0.11", "10.244.1.0/24"), Node("node-2", "172.18.0.12", "10.244.2.0/24"))


def pods_network(pods: int) -> AddressPlan:
    """Return the plan of a lab's network: two nodes, so many pods on them in turn, the two clients."""
    every = tuple(_pod(number) for number in range(pods))
    return plan_addresses(ClusterSpec(NODES, every, (), (), "10.244.0.0/16", "10.96.0.0/12"))


def _pod(number: int) -> Pod:
    node = NODES[number % len(NODES)]
    address = str(IPv4Address(node.pod_cidr.partition("/")[0]) + 2 + number // len(NODES))
    return Pod("bench", f"pod-{number}", node.name, address)
