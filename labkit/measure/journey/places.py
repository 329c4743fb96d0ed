"""The places of a journey: what is known of the namespaces before a packet comes to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.measure.journey.events import LaneKind
    from labkit.measure.journey.joining import End
    from labkit.measure.journey.rulebook import Rulebook
    from labkit.spec.addressplan import AddressPlan


@dataclass(frozen=True, slots=True)
class Places:
    """The namespaces: their kinds, whose each address is, the links' ends, and pods' names by namespace."""

    kinds: Mapping[str, LaneKind]
    addresses: Mapping[str, str]
    peers: Mapping[End, End]
    pods: Mapping[str, str]

    def name(self, namespace: str) -> str:
        """Return what a namespace is called in an outcome: a pod `namespace/name`, others by their own."""
        return self.pods.get(namespace, namespace)


@dataclass(frozen=True, slots=True)
class NodeRules:
    """A node's rules: those of iptables, those of nft, and IPVS's virtual servers, as ipvsadm prints them."""

    iptables: Rulebook | None
    nft: Rulebook | None = None
    virtual_servers: str = ""


def plan_places(plan: AddressPlan) -> Places:
    """Return the places of a lab's network."""
    addresses = {one.address: namespace.name for namespace in plan.namespaces for one in namespace.addresses}
    addresses |= {
        address: plan.client(name).name for name, one in plan.clients.items() for address in one.addresses
    }
    peers: dict[End, End] = {}
    for link in plan.links:
        outer, inner = (link.outer, link.port.name), (link.inner, link.interface.name)
        peers |= {outer: inner, inner: outer}
    pods = {name: key for key, name in plan.pod_names.items() if plan.namespace(name).kind == "pod"}
    return Places({one.name: one.kind for one in plan.namespaces}, addresses, peers, pods)
