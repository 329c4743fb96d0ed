"""11-read-maps: a node in nftables mode: which chain a Service port leads to, and where that ends.

Drawn are three Services, one of them without pods. The judge programs them anew and reads its own node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.fabric.namespace import Namespace
    from labkit.grade.exercise import Given

NAME = "11-read-maps"
NODE = "node-1"
TABLE = ("ip", "kube-proxy")
ENDPOINT = re.compile(r"goto (endpoint-[^ ,}]+)")
DNAT = re.compile(r"dnat to ([0-9.]+:[0-9]+)")


def plan_draw(random: Random) -> Given:
    """Return a cluster of three Services, one without pods, and the Service port to look for."""
    names = random.sample(clusters.APPS, 3)
    lasts = random.sample(range(20, 250), 3)
    ports = random.sample([80, 443, 3000, 5432, 6379, 8080], 3)
    addresses = [f"10.96.{random.randint(1, 254)}.{last}" for last in lasts]
    node_ports = random.sample(range(30000, 32768), 2)
    pod_port = random.randrange(8000, 9000)
    asked, other, empty = range(3)
    documents = [clusters.nodes(2)]
    for at in (asked, other):
        documents.append(clusters.deployment(names[at], random.randint(2, 4), pod_port))
        documents.append(
            clusters.service(
                names[at],
                type="NodePort",
                port=ports[at],
                node_port=node_ports[at],
                cluster_ip=addresses[at],
            )
        )
    documents.append(clusters.service(names[empty], port=ports[empty], cluster_ip=addresses[empty]))
    return {
        "manifest": clusters.joined(*documents),
        "cluster_ip": addresses[asked],
        "port": ports[asked],
        "node_port": node_ports[asked],
    }


def judge(given: Given, found: Any) -> Iterator[Finding]:
    """Program the cluster anew in nftables mode and read its node-1."""
    said = found if isinstance(found, dict) else {}
    with Lab.open(Text(NAME, given["manifest"]), mode="nftables") as lab:
        node = lab.namespace(NODE)
        chain = _looked_up(node, "service-ips", f"{given['cluster_ip']} . tcp . {given['port']}")
        node_port = _looked_up(node, "service-nodeports", f"tcp . {given['node_port']}")
        pods = _pods(node, chain)
        refused = _keys(node, "no-endpoint-services")
    yield _compare("chain", said.get("chain"), chain, "nft list map ip kube-proxy service-ips")
    yield _compare(
        "node_port", said.get("node_port"), node_port, "nft list map ip kube-proxy service-nodeports"
    )
    todo = (
        "follow the verdicts: nft list chain ip kube-proxy, with the chain's name, then those that it names"
    )
    yield _compare("pods", _texts(said.get("pods")), pods, todo)
    yield _compare(
        "refused",
        _texts([_spaced(one) for one in said["refused"]] if _is_texts(said.get("refused")) else None),
        refused,
        "which map leads to a reject? Write its keys as nft prints them: ADDRESS . tcp . PORT",
    )


def _listed(node: Namespace, kind: str, name: str) -> str:
    return node.command(["nft", "list", kind, *TABLE, name]).stdout


def _looked_up(node: Namespace, name: str, key: str) -> str:
    """Return the chain that a map's verdict goes to for a key; "" if the map has none."""
    found = re.search(rf"(?<![0-9.]){re.escape(key)} : goto ([^ ,}}]+)", _listed(node, "map", name))
    return found[1] if found else ""


def _keys(node: Namespace, name: str) -> set[str]:
    return {match.strip() for match in re.findall(r"([0-9.]+ \. \w+ \. [0-9]+)", _listed(node, "map", name))}


def _pods(node: Namespace, chain: str) -> set[str]:
    endpoints = ENDPOINT.findall(_listed(node, "chain", chain))
    return {address for one in endpoints for address in DNAT.findall(_listed(node, "chain", one))}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _texts(value: Any) -> Any:
    """Return a list of texts as a set, if each is there once; anything else as it is."""
    return set(value) if _is_texts(value) and len(set(value)) == len(value) else value


def _spaced(key: str) -> str:
    return " . ".join(part.strip() for part in re.split(r" *\. +", key))


def _compare(part: str, said: Any, right: Any, todo: str) -> Finding:
    is_right = type(said) is type(right) and said == right
    expected = "a chain's name" if isinstance(right, str) else "a list of texts, in any order, each once"
    return Finding(part, float(is_right), 1.0, expected, repr(said)[:80], "" if is_right else todo)


EXERCISE = Exercise(NAME, 4.0, plan_draw, Variable("found"), judge)
