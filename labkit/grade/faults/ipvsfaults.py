"""Faults of IPVS mode: virtual servers, kube-ipvs0, ipsets, and IPVS's own switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.grade.faults.fault import Fault, PlannedFault
from labkit.grade.faults.scene import pod_port
from labkit.proxy.ipvs import DEFAULT_SCHEDULER, DEVICE

if TYPE_CHECKING:
    from labkit.grade.faults.fault import Place
    from labkit.grade.faults.scene import Scene

_CONNTRACK = "net.ipv4.vs.conntrack"
_DEAD = "199"  # the last byte of an address that no pod and no client has


def _virtual(scene: Scene, place: Place) -> str:
    service = scene.service(place.service)
    return f"{service.cluster_ip}:{service.ports[0].port}"


def _real(scene: Scene, place: Place) -> str:
    pod = scene.pod(place.pod)
    return f"{pod.address}:{pod_port(pod)}"


def _weight_zero(scene: Scene, place: Place) -> PlannedFault:
    virtual = _virtual(scene, place)
    edit = ("ipvsadm", "-e", "-t", virtual, "-r", _real(scene, place), "-m", "-w")
    return PlannedFault(
        place.node,
        f"virtual server {virtual}/TCP",
        ((*edit, "0"),),
        ((*edit, "1"),),
        scene.unevenly(place),
        "which pod is never chosen? what does its line in ipvsadm -L -n say?",
    )


def _dead_real_server(scene: Scene, place: Place) -> PlannedFault:
    virtual, pod = _virtual(scene, place), scene.pod(place.pod)
    dead = f"{pod.address.rpartition('.')[0]}.{_DEAD}:{pod_port(pod)}"
    return PlannedFault(
        place.node,
        f"virtual server {virtual}/TCP",
        (("ipvsadm", "-a", "-t", virtual, "-r", dead, "-m", "-w", "1"),),
        (("ipvsadm", "-d", "-t", virtual, "-r", dead),),
        scene.through_cluster_ip(place),
        "compare the real servers with the Service's pods, one by one",
    )


def _wrong_scheduler(scene: Scene, place: Place) -> PlannedFault:
    virtual = _virtual(scene, place)
    edit = ("ipvsadm", "-E", "-t", virtual, "-s")
    return PlannedFault(
        place.node,
        f"virtual server {virtual}/TCP",
        ((*edit, "dh"),),
        ((*edit, DEFAULT_SCHEDULER),),
        scene.unevenly(place),
        "one pod gets everything: who chooses? the scheduler stands beside the virtual server",
    )


def _no_address(scene: Scene, place: Place) -> PlannedFault:
    address = f"{scene.service(place.service).cluster_ip}/32"
    return PlannedFault(
        place.node,
        f"device {DEVICE}",
        (("ip", "address", "del", address, "dev", DEVICE),),
        (("ip", "address", "add", address, "dev", DEVICE),),
        scene.through_cluster_ip(place),
        f"IPVS sees only what is local to the node: is every Service's address on {DEVICE}?",
    )


def _no_virtual_server(scene: Scene, place: Place) -> PlannedFault:
    port = scene.service(place.service).ports[0].node_port
    virtual = f"{scene.node(place.node).address}:{port}"
    reals = (f"{pod.address}:{pod_port(pod)}" for pod in scene.pods(place.service))
    return PlannedFault(
        place.node,
        f"virtual server {virtual}/TCP",
        (("ipvsadm", "-D", "-t", virtual),),
        (
            ("ipvsadm", "-A", "-t", virtual, "-s", DEFAULT_SCHEDULER),
            *(("ipvsadm", "-a", "-t", virtual, "-r", real, "-m", "-w", "1") for real in reals),
        ),
        scene.through_node_port(place),
        "a node port needs a virtual server for each address of the node: are they all there?",
    )


def _node_port_not_in_set(scene: Scene, place: Place) -> PlannedFault:
    port = str(scene.service(place.service).ports[0].node_port)
    return PlannedFault(
        place.node,
        "ipset KUBE-NODE-PORT-TCP",
        (("ipset", "del", "KUBE-NODE-PORT-TCP", port),),
        (("ipset", "add", "KUBE-NODE-PORT-TCP", port),),
        scene.through_node_port(place),
        "whose address does the pod see? the rules that masquerade ask ipsets",
    )


def _pod_not_in_set(scene: Scene, place: Place) -> PlannedFault:
    pod = scene.pod(place.pod)
    member = f"{pod.address},tcp:{pod_port(pod)},{pod.address}"
    return PlannedFault(
        place.node,
        "ipset KUBE-LOOP-BACK",
        (("ipset", "del", "KUBE-LOOP-BACK", member),),
        (("ipset", "add", "KUBE-LOOP-BACK", member),),
        scene.never_itself(place),
        "a pod's call to itself must be masqueraded: which ipset says so?",
    )


def _no_conntrack(scene: Scene, place: Place) -> PlannedFault:
    return PlannedFault(
        place.node,
        f"sysctl {_CONNTRACK}",
        (("sysctl", "-w", f"{_CONNTRACK}=0"),),
        (("sysctl", "-w", f"{_CONNTRACK}=1"),),
        scene.through_node_port(place),
        "whose address does the pod see? masquerade needs connection tracking to hear of IPVS",
    )


FAULTS = (
    Fault("weight-zero", ("ipvs",), _weight_zero),
    Fault("dead-real-server", ("ipvs",), _dead_real_server),
    Fault("wrong-scheduler", ("ipvs",), _wrong_scheduler),
    Fault("no-address", ("ipvs",), _no_address),
    Fault("no-virtual-server", ("ipvs",), _no_virtual_server, node_port=True),
    Fault("node-port-not-in-set", ("ipvs",), _node_port_not_in_set, node_port=True),
    Fault("pod-not-in-set", ("ipvs",), _pod_not_in_set, on_pod_node=True),
    Fault("no-ipvs-conntrack", ("ipvs",), _no_conntrack, node_port=True),
)
