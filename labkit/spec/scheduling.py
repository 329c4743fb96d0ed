"""Drafts of pods -> pods with a node and an address, as a scheduler and a network plugin would give them.

Pods that no node can take stay out of the cluster, with a warning, as they would stay Pending.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.ipv4 import is_ipv4
from labkit.spec.nodes import FIRST_POD, PlannedNode, pod_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.pods import PodDraft


@dataclass(frozen=True, slots=True)
class PlannedPod:
    """A pod of the cluster, and whether it is being deleted."""

    pod: model.Pod
    terminating: bool = False


def plan_pods(
    drafts: Sequence[PodDraft], nodes: Sequence[PlannedNode], findings: Findings
) -> tuple[PlannedPod, ...]:
    """Return the pods in the order of their drafts, each on a node and with an address of its own."""
    placed = _place_all(drafts, nodes, findings)
    given = _given_addresses(placed, nodes, findings)
    free = {planned.node.name: _free(planned, frozenset(given)) for planned in nodes}
    full: set[str] = set()
    pods = []
    for draft, planned in placed:
        name = planned.node.name
        address = draft.address if draft.address in given else next(free[name], "")
        if not address and name not in full:
            full.add(name)
            findings.mistake(
                draft.place(),
                f"node {name} has no address left for {draft.name} in {planned.network}",
                "ask for fewer pods, add nodes, or give the node a larger podCIDR",
            )
        pods.append(PlannedPod(_pod(draft, name, address), draft.terminating))
    return tuple(pods)


def _pod(draft: PodDraft, node: str, address: str) -> model.Pod:
    return model.Pod(
        namespace=draft.namespace,
        name=draft.name,
        node=node,
        address=address,
        labels=draft.labels,
        ports=draft.ports,
        ready=draft.ready,
        probes=draft.probes,
        owner=draft.owner,
        weight=draft.annotations.weight,
        service_ms=draft.annotations.service_ms,
    )


def _place_all(
    drafts: Sequence[PodDraft], nodes: Sequence[PlannedNode], findings: Findings
) -> list[tuple[PodDraft, PlannedNode]]:
    scheduler = _Scheduler(nodes, findings)
    # Pods that name their node come first, so that the others spread around them in whatever order.
    bound = {index: node for index, draft in enumerate(drafts) if (node := scheduler.bind(draft))}
    placed = []
    for index, draft in enumerate(drafts):
        node = bound.get(index) or scheduler.choose(draft)
        if node is not None:
            placed.append((draft, node))
    return placed


class _Scheduler:
    """Puts a pod on the node with the fewest of its owner's pods, then the fewest pods, then the first."""

    def __init__(self, nodes: Sequence[PlannedNode], findings: Findings) -> None:
        self._nodes = nodes
        self._by_name = {planned.node.name: planned for planned in nodes}
        self._findings = findings
        self._pods: Counter[str] = Counter()
        self._of_owner: Counter[tuple[str, str, str]] = Counter()
        self._said: set[int] = set()

    def bind(self, draft: PodDraft) -> PlannedNode | None:
        """Return the node that the pod names, by itself or by the address it already has."""
        chosen = None
        if draft.spec.node_name:
            chosen = self._by_name.get(draft.spec.node_name)
        elif is_ipv4(draft.address):
            chosen = next((node for node in self._nodes if IPv4Address(draft.address) in node.network), None)
        return self._count(draft, chosen)

    def choose(self, draft: PodDraft) -> PlannedNode | None:
        """Return the node for a pod that names none, or None (said once for each workload)."""
        if draft.spec.node_name:
            self._refuse_node(draft)
            return None
        fitting = [node for node in self._nodes if self._fits(draft, node)]
        if not fitting:
            self._warn_pending(draft)
            return None
        return self._count(draft, min(fitting, key=lambda node: self._load(draft, node)))

    def _refuse_node(self, draft: PodDraft) -> None:
        name = draft.spec.node_name
        if ("Node", name) not in self._findings.broken:
            known = f"nodes: {', '.join(self._by_name)}"
            self._findings.mistake(draft.place("spec", "nodeName"), f"there is no node {name!r}", known)

    def _fits(self, draft: PodDraft, planned: PlannedNode) -> bool:
        if not planned.has_labels(draft.spec.node_selector):
            return False
        return not self._load(draft, planned)[0] if draft.on_every_node else planned.schedulable

    def _load(self, draft: PodDraft, planned: PlannedNode) -> tuple[int, int]:
        name = planned.node.name
        return self._of_owner[draft.namespace, draft.owner, name], self._pods[name]

    def _count(self, draft: PodDraft, planned: PlannedNode | None) -> PlannedNode | None:
        if planned is not None:
            self._pods[planned.node.name] += 1
            self._of_owner[draft.namespace, draft.owner, planned.node.name] += 1
        return planned

    def _warn_pending(self, draft: PodDraft) -> None:
        if id(draft.item) in self._said:
            return
        self._said.add(id(draft.item))
        if draft.on_every_node:
            if not any(node.has_labels(draft.spec.node_selector) for node in self._nodes):
                self._findings.warn(
                    draft.place(), f"{draft.owner} gets no pod: no node has the labels of its nodeSelector"
                )
            return
        why = (
            "no node has the labels of its nodeSelector and takes pods"
            if draft.spec.node_selector
            else "no node takes pods"
        )
        self._findings.warn(draft.place(), f"pods of {draft.owner or draft.name} stay Pending: {why}")


def _given_addresses(
    placed: Sequence[tuple[PodDraft, PlannedNode]], nodes: Sequence[PlannedNode], findings: Findings
) -> dict[str, str]:
    """Return the addresses that pods bring with them, each with its pod; find what is wrong with others."""
    given: dict[str, str] = {}
    networks = [planned.network for planned in nodes]
    for draft, planned in placed:
        if not draft.address:
            continue
        wrong = _wrong_address(draft, planned, given, networks)
        if wrong:
            findings.mistake(
                draft.place("status", "podIP"),
                f"{draft.address} {wrong}",
                "leave podIP out, or give each pod its own",
            )
        else:
            given[draft.address] = draft.name
    return given


def _wrong_address(
    draft: PodDraft, planned: PlannedNode, given: dict[str, str], networks: Sequence[IPv4Network]
) -> str:
    if not is_ipv4(draft.address):
        return "is not an IPv4 address"
    address, network = IPv4Address(draft.address), planned.network
    if address in network:
        if not FIRST_POD <= int(address) - int(network[0]) < network.num_addresses - 1:
            return "is the network's, the gateway's or the broadcast address"
    # Some network plugins (Calico's, a cloud's) have addresses of their own and leave podCIDR alone.
    elif not draft.spec.node_name or any(address in other for other in networks):
        return f"is outside node {planned.node.name}'s pod CIDR {network}"
    return f"is pod {given[draft.address]}'s address" if draft.address in given else ""


def _free(planned: PlannedNode, taken: frozenset[str]) -> Iterator[str]:
    return (address for address in pod_addresses(planned.network) if address not in taken)
