"""Faults of iptables: kube-proxy's rules damaged, or somebody else's beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.grade.faults.fault import Fault, PlannedFault
from labkit.grade.faults.scene import pod_port
from labkit.proxy.iptables import plan_iptables
from labkit.proxy.plans import lab_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.grade.faults.fault import Argv, Damage, Place
    from labkit.grade.faults.scene import Scene
    from labkit.proxy.iptables import IptablesPlan
    from labkit.proxy.rules import Rule

_IPTABLES = "iptables-legacy"
_NAT = (_IPTABLES, "-t", "nat")
_FORWARD = "chain filter FORWARD"
_GREEDY = "0.9"  # what the first pod takes of all connections


def _chain(scene: Scene, node: str, chain: str) -> tuple[Rule, ...]:
    """Return a chain of the nat table as kube-proxy plans it."""
    return next(table.chains[chain] for table in _plan(scene, node).tables if table.name == "nat")


def _plan(scene: Scene, node: str) -> IptablesPlan:
    config = lab_config(scene.cluster)
    return plan_iptables(scene.cluster, scene.node(node), config, scene.node_addresses(node))


def _find(rules: Sequence[Rule], *words: str) -> tuple[int, Rule]:
    """Return the first rule that has all these words, and its number as iptables counts, from 1."""
    return next((at, rule) for at, rule in enumerate(rules, 1) if set(words) <= set(rule))


def _missing(chain: str, number: int, rule: Rule) -> Damage:
    """Return the damage that a rule of the nat table is missing."""
    breaks: Argv = (*_NAT, "-D", chain, str(number))
    mends: Argv = (*_NAT, "-I", chain, str(number), *rule)
    return f"chain nat {chain}", (breaks,), (mends,)


def _changed(chain: str, number: int, wrong: Rule, right: Rule) -> Damage:
    """Return the damage that a rule of the nat table says something else."""
    replace: Argv = (*_NAT, "-R", chain, str(number))
    return f"chain nat {chain}", ((*replace, *wrong),), ((*replace, *right),)


def _service_chain(scene: Scene, place: Place) -> str:
    service = scene.service(place.service)
    return _find(_chain(scene, place.node, "KUBE-SERVICES"), "-d", service.cluster_ip)[1][-1]


def _endpoint_chain(scene: Scene, place: Place) -> str:
    endpoint_chains = _plan(scene, place.node).endpoint_chains
    pod, service = scene.pod(place.pod), scene.service(place.service)
    wanted = (f"{service.key}:{service.ports[0].name}", f"{pod.address}:{pod_port(pod)}")
    return next(chain for chain, leads_to in endpoint_chains.items() if leads_to == wanted)


def _no_masquerade(scene: Scene, place: Place) -> PlannedFault:
    number, rule = _find(_chain(scene, place.node, "KUBE-POSTROUTING"), "MASQUERADE")
    hint = "whose address does the pod see? follow the mark through KUBE-POSTROUTING"
    return PlannedFault(
        place.node, *_missing("KUBE-POSTROUTING", number, rule), scene.through_node_port(place), hint
    )


def _no_service_jump(scene: Scene, place: Place) -> PlannedFault:
    service = scene.service(place.service)
    number, rule = _find(_chain(scene, place.node, "KUBE-SERVICES"), "-d", service.cluster_ip)
    hint = "does any rule of the node know the address? begin at KUBE-SERVICES"
    return PlannedFault(
        place.node, *_missing("KUBE-SERVICES", number, rule), scene.through_cluster_ip(place), hint
    )


def _no_node_port(scene: Scene, place: Place) -> PlannedFault:
    port = scene.service(place.service).ports[0].node_port
    number, rule = _find(_chain(scene, place.node, "KUBE-NODEPORTS"), "--dport", str(port))
    hint = "does any rule of the node know the port? look into KUBE-NODEPORTS"
    return PlannedFault(
        place.node, *_missing("KUBE-NODEPORTS", number, rule), scene.through_node_port(place), hint
    )


def _unfair_dice(scene: Scene, place: Place) -> PlannedFault:
    chain = _service_chain(scene, place)
    number, right = _find(_chain(scene, place.node, chain), "--probability")
    at = right.index("--probability") + 1
    wrong = (*right[:at], _GREEDY, *right[at + 1 :])
    hint = "of n pods the first rule takes 1/n, the next 1/(n-1) of what is left: read the Service's chain"
    return PlannedFault(place.node, *_changed(chain, number, wrong, right), scene.unevenly(place), hint)


def _wrong_port(scene: Scene, place: Place) -> PlannedFault:
    chain, pod = _endpoint_chain(scene, place), scene.pod(place.pod)
    number, right = _find(_chain(scene, place.node, chain), "DNAT")
    wrong = (*right[:-1], f"{pod.address}:{pod_port(pod) + 1}")
    hint = "some calls are refused: by whom? compare the DNAT rules of the Service's pods"
    return PlannedFault(
        place.node, *_changed(chain, number, wrong, right), scene.through_cluster_ip(place), hint
    )


def _no_hairpin_mark(scene: Scene, place: Place) -> PlannedFault:
    chain = _endpoint_chain(scene, place)
    number, rule = _find(_chain(scene, place.node, chain), "KUBE-MARK-MASQ")
    hint = "a pod's call to itself must be masqueraded: who marks it?"
    return PlannedFault(place.node, *_missing(chain, number, rule), scene.never_itself(place), hint)


def _policy_drop(scene: Scene, place: Place) -> PlannedFault:
    return PlannedFault(
        place.node,
        _FORWARD,
        ((_IPTABLES, "-P", "FORWARD", "DROP"),),
        ((_IPTABLES, "-P", "FORWARD", "ACCEPT"),),
        scene.through_cluster_ip(place),
        "what becomes of a packet that no rule of the filter table's FORWARD chain takes?",
    )


def _firewall(scene: Scene, place: Place) -> PlannedFault:
    pod = scene.pod(place.pod)
    rule = ("-d", f"{pod.address}/32", "-p", "tcp", "--dport", str(pod_port(pod)), "-j", "DROP")
    return PlannedFault(
        place.node,
        _FORWARD,
        ((_IPTABLES, "-I", "FORWARD", "1", *rule),),
        ((_IPTABLES, "-D", "FORWARD", *rule),),
        scene.through_cluster_ip(place),
        "which pod never answers? who else has rules on this node: read the filter table",
    )


FAULTS = (
    Fault("no-masquerade", ("iptables",), _no_masquerade, node_port=True),
    Fault("no-service-jump", ("iptables",), _no_service_jump),
    Fault("no-node-port", ("iptables",), _no_node_port, node_port=True),
    Fault("unfair-dice", ("iptables",), _unfair_dice),
    Fault("wrong-port", ("iptables",), _wrong_port),
    Fault("no-hairpin-mark", ("iptables",), _no_hairpin_mark, on_pod_node=True),
    Fault("policy-drop", ("iptables", "nftables"), _policy_drop),
    Fault("firewall", ("iptables", "nftables"), _firewall),
)
