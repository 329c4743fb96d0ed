"""Faults of nftables mode: elements of kube-proxy's maps, rules of its chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.grade.faults.fault import Fault, PlannedFault
from labkit.grade.faults.scene import pod_port
from labkit.proxy.nftables import plan_nftables
from labkit.proxy.nftables_statements import TABLE
from labkit.proxy.plans import lab_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.grade.faults.fault import Argv, Damage, Place
    from labkit.grade.faults.scene import Scene
    from labkit.proxy.nftables_statements import Statement

_ADD, _DELETE = "add", "delete"


def _statements(scene: Scene, node: str) -> Sequence[Statement]:
    config = lab_config(scene.cluster)
    return plan_nftables(scene.cluster, scene.node(node), config, scene.node_addresses(node)).transaction


def _element(verb: str, name: str, body: str) -> Argv:
    return ("nft", verb, "element", "ip", TABLE, name, body)


def _refilled(chain: str, rules: Sequence[str]) -> tuple[Argv, ...]:
    """Return the commands after which a chain has these rules and no others."""
    return (
        ("nft", "flush", "chain", "ip", TABLE, chain),
        *(("nft", "add", "rule", "ip", TABLE, chain, rule) for rule in rules),
    )


def _rules(scene: Scene, node: str, chain: str) -> list[str]:
    return [one.body for one in _statements(scene, node) if one.kind == "rule" and one.name == chain]


def _other_rules(scene: Scene, node: str, chain: str, wrong: Sequence[str]) -> Damage:
    """Return the damage that a chain has other rules than it should."""
    right = _rules(scene, node, chain)
    return f"nftables chain {chain}", _refilled(chain, wrong), _refilled(chain, right)


def _missing_element(scene: Scene, node: str, name: str, key: str) -> Damage:
    """Return the damage that a map lacks the element that begins with `key`."""
    body = next(
        one.body
        for one in _statements(scene, node)
        if one.kind == "element" and one.name == name and one.body.startswith(f"{{ {key} ")
    )
    breaks, mends = _element(_DELETE, name, f"{{ {key} }}"), _element(_ADD, name, body)
    return f"nftables map {name}", (breaks,), (mends,)


def _key(scene: Scene, place: Place) -> str:
    service = scene.service(place.service)
    return f"{service.cluster_ip} . tcp . {service.ports[0].port}"


def _chain_named(scene: Scene, place: Place, prefix: str, end: str) -> str:
    """Return the chain of the place's Service whose name has this prefix and end."""
    middle = f"-{scene.service(place.service).key}/tcp/"
    names = (one.name for one in _statements(scene, place.node) if one.kind == "chain")
    return next(name for name in names if name.startswith(prefix) and middle in name and name.endswith(end))


def _endpoint_chain(scene: Scene, place: Place) -> str:
    pod = scene.pod(place.pod)
    return _chain_named(scene, place, "endpoint-", f"__{pod.address}/{pod_port(pod)}")


def _no_service(scene: Scene, place: Place) -> PlannedFault:
    hint = "does the node know the address? one look into the map service-ips"
    return PlannedFault(
        place.node,
        *_missing_element(scene, place.node, "service-ips", _key(scene, place)),
        scene.through_cluster_ip(place),
        hint,
    )


def _no_node_port(scene: Scene, place: Place) -> PlannedFault:
    key = f"tcp . {scene.service(place.service).ports[0].node_port}"
    hint = "does the node know the port? one look into the map service-nodeports"
    return PlannedFault(
        place.node,
        *_missing_element(scene, place.node, "service-nodeports", key),
        scene.through_node_port(place),
        hint,
    )


def _walled_off(scene: Scene, place: Place) -> PlannedFault:
    key, name = _key(scene, place), "firewall-ips"
    return PlannedFault(
        place.node,
        f"nftables map {name}",
        (_element(_ADD, name, f"{{ {key} : drop }}"),),
        (_element(_DELETE, name, f"{{ {key} }}"),),
        scene.through_cluster_ip(place),
        "it is dropped before its destination is rewritten: what stands in the maps of the filter hooks?",
    )


def _no_masquerade(scene: Scene, place: Place) -> PlannedFault:
    chain = "masquerading"
    wrong = _rules(scene, place.node, chain)[:-1]
    hint = "whose address does the pod see? follow the mark into the chain masquerading"
    return PlannedFault(
        place.node, *_other_rules(scene, place.node, chain, wrong), scene.through_node_port(place), hint
    )


def _unfair_dice(scene: Scene, place: Place) -> PlannedFault:
    chain = _chain_named(scene, place, "service-", "")
    *others, choice = _rules(scene, place.node, chain)
    head, targets = choice.split(" vmap ")
    first, *rest = targets.strip("{} ").split(" , ")
    target = first.partition(" : ")[2]
    greedy = [f"{number} : {target}" for number in range(len(rest))]
    wrong = f"{head} vmap {{ {' , '.join([*greedy, rest[-1]])} }}"
    hint = "numgen draws a number: does each number lead to a pod of its own?"
    return PlannedFault(
        place.node, *_other_rules(scene, place.node, chain, [*others, wrong]), scene.unevenly(place), hint
    )


def _wrong_port(scene: Scene, place: Place) -> PlannedFault:
    chain, pod = _endpoint_chain(scene, place), scene.pod(place.pod)
    *others, dnat = _rules(scene, place.node, chain)
    wrong = f"{dnat.rpartition(':')[0]}:{pod_port(pod) + 1}"
    hint = "some calls are refused: by whom? compare the dnat rules of the Service's pods"
    return PlannedFault(
        place.node,
        *_other_rules(scene, place.node, chain, [*others, wrong]),
        scene.through_cluster_ip(place),
        hint,
    )


def _no_hairpin_mark(scene: Scene, place: Place) -> PlannedFault:
    chain = _endpoint_chain(scene, place)
    wrong = _rules(scene, place.node, chain)[1:]
    hint = "a pod's call to itself must be masqueraded: who marks it?"
    return PlannedFault(
        place.node, *_other_rules(scene, place.node, chain, wrong), scene.never_itself(place), hint
    )


FAULTS = (
    Fault("no-service", ("nftables",), _no_service),
    Fault("no-nft-node-port", ("nftables",), _no_node_port, node_port=True),
    Fault("walled-off", ("nftables",), _walled_off),
    Fault("no-nft-masquerade", ("nftables",), _no_masquerade, node_port=True),
    Fault("unfair-numbers", ("nftables",), _unfair_dice),
    Fault("wrong-nft-port", ("nftables",), _wrong_port),
    Fault("no-nft-hairpin-mark", ("nftables",), _no_hairpin_mark, on_pod_node=True),
)
