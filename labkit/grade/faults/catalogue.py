"""All faults, and three of them drawn: one of the network below, two of what kube-proxy programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.grade.faults import iptablesfaults, ipvsfaults, networkfaults, nftablesfaults
from labkit.grade.faults.fault import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from labkit.grade.faults.fault import Fault, PlannedFault
    from labkit.grade.faults.scene import Scene
    from labkit.proxy.plans import Mode

PROXY_FAULTS: tuple[Fault, ...] = (*iptablesfaults.FAULTS, *ipvsfaults.FAULTS, *nftablesfaults.FAULTS)
FAULTS = {fault.name: fault for fault in (*networkfaults.FAULTS, *PROXY_FAULTS)}
"""Every fault by its name."""


def faults_of(mode: Mode) -> tuple[Fault, ...]:
    """Return the faults that a cluster in this mode can have."""
    return tuple(fault for fault in FAULTS.values() if mode in fault.modes)


def draw_faults(random: Random, scene: Scene) -> tuple[tuple[Fault, Place], ...]:
    """Return three faults in their places, in no order; they change different things, others notice each."""
    proxy_faults = [fault for fault in PROXY_FAULTS if scene.mode in fault.modes]
    while True:
        drawn = [random.choice(networkfaults.FAULTS), *random.sample(proxy_faults, 2)]
        random.shuffle(drawn)
        placed = tuple((fault, _draw_place(random, scene, fault)) for fault in drawn)
        if are_apart([fault.plan(scene, place) for fault, place in placed]):
            return placed


def are_apart(faults: Sequence[PlannedFault]) -> bool:
    """Return whether no two faults change the same part of a node, or would be noticed by the same calls.

    Nor may one keep another from being noticed: who unfairly prefers some pods of a Service may never choose
    the one that cannot be reached.
    """
    parts = {(fault.node, fault.part) for fault in faults}
    symptoms = {fault.symptom for fault in faults}
    ways = [(fault.node, fault.symptom.service) for fault in faults]
    unfair = [way for way, fault in zip(ways, faults, strict=True) if fault.symptom.kind == "shared"]
    are_hidden = any(ways.count(way) > 1 for way in unfair)
    return len(parts) == len(symptoms) == len(faults) and not are_hidden


def places_of(scene: Scene, fault: Fault) -> Iterator[Place]:
    """Yield every place where the fault can be."""
    for node in scene.cluster.nodes:
        for service in scene.cluster.services:
            if fault.node_port and not service.ports[0].node_port:
                continue
            for pod in scene.pods(service.name):
                if pod.node == node.name or not fault.on_pod_node:
                    yield Place(node.name, service.name, pod.key)


def _draw_place(random: Random, scene: Scene, fault: Fault) -> Place:
    return random.choice(list(places_of(scene, fault)))
