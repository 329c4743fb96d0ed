"""Faults of the network below kube-proxy: routes, neighbours, forwarding, the pods' bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.grade.faults.fault import Fault, PlannedFault
from labkit.proxy.plans import MODES

if TYPE_CHECKING:
    from labkit.grade.faults.fault import Place
    from labkit.grade.faults.scene import Scene

_WRONG_MAC = "0a:58:00:00:00:01"
_FORWARDING = "net.ipv4.ip_forward"


def _no_route(scene: Scene, place: Place) -> PlannedFault:
    other = scene.other_node(place.node)
    return PlannedFault(
        place.node,
        "routes",
        (("ip", "route", "del", other.pod_cidr),),
        (("ip", "route", "add", other.pod_cidr, "via", other.address, "dev", "eth0"),),
        scene.through_cluster_ip(place),
        "which pods never answer? ask the node for its way to one of them: ip route get",
    )


def _blackhole(scene: Scene, place: Place) -> PlannedFault:
    behind = scene.pods(place.service)
    away = next(pod for pod in behind if pod.node != place.node)
    return PlannedFault(
        place.node,
        "routes",
        (("ip", "route", "add", "blackhole", f"{away.address}/32"),),
        (("ip", "route", "del", "blackhole", f"{away.address}/32"),),
        scene.through_cluster_ip(place),
        "which pod never answers? ask the node for its way to it: ip route get",
    )


def _no_forwarding(scene: Scene, place: Place) -> PlannedFault:
    return PlannedFault(
        place.node,
        f"sysctl {_FORWARDING}",
        (("sysctl", "-w", f"{_FORWARDING}=0"),),
        (("sysctl", "-w", f"{_FORWARDING}=1"),),
        scene.through_cluster_ip(place),
        "a node is a router: does it forward at all?",
    )


def _wrong_node_neighbour(scene: Scene, place: Place) -> PlannedFault:
    other = scene.other_node(place.node)
    right = next(one for one in scene.network.node(place.node).neighbours if one.address == other.address)
    entry = ("ip", "neighbour", "replace", other.address, "lladdr")
    permanent = ("dev", right.interface.name, "nud", "permanent")
    return PlannedFault(
        place.node,
        "neighbours",
        ((*entry, _WRONG_MAC, *permanent),),
        ((*entry, right.mac, *permanent),),
        scene.through_cluster_ip(place),
        "the route is right? then who is its gateway on the wire: ip neighbour",
    )


def _wrong_pod_neighbour(scene: Scene, place: Place) -> PlannedFault:
    pod = scene.pod(place.pod)
    right = next(one for one in scene.network.node(place.node).neighbours if one.address == pod.address)
    entry = ("ip", "neighbour", "replace", pod.address, "lladdr")
    permanent = ("dev", right.interface.name, "nud", "permanent")
    return PlannedFault(
        place.node,
        "neighbours",
        ((*entry, _WRONG_MAC, *permanent),),
        ((*entry, right.mac, *permanent),),
        scene.through_cluster_ip(place),
        "which pod never answers? who is it on the pods' bridge: ip neighbour",
    )


def _no_hairpin(scene: Scene, place: Place) -> PlannedFault:
    namespace = scene.network.pod(place.pod).name
    port = scene.network.link(namespace).port.name
    return PlannedFault(
        place.node,
        "bridge ports",
        (("bridge", "link", "set", "dev", port, "hairpin", "off"),),
        (("bridge", "link", "set", "dev", port, "hairpin", "on"),),
        scene.never_itself(place),
        "may the bridge send a frame back through the port it came from? bridge -d link",
    )


FAULTS = (
    Fault("no-route", MODES, _no_route),
    Fault("blackhole", MODES, _blackhole),
    Fault("no-forwarding", MODES, _no_forwarding),
    Fault("wrong-node-neighbour", MODES, _wrong_node_neighbour),
    Fault("wrong-pod-neighbour", MODES, _wrong_pod_neighbour, on_pod_node=True),
    Fault("no-hairpin", MODES, _no_hairpin, on_pod_node=True),
)
