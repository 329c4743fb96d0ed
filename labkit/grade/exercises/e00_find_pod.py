"""00-find-pod: the pod that has an address, and the node that it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "00-find-pod"


def plan_draw(random: Random) -> Given:
    """Return a cluster of three to six pods, and the address of one of them."""
    app = random.choice(clusters.APPS)
    manifest = clusters.joined(clusters.nodes(2), clusters.deployment(app, random.randint(3, 6)))
    pod = random.choice(read_manifests([Text(NAME, manifest)]).pods)
    return {"manifest": manifest, "address": pod.address}


def judge(given: Given, answer: Any) -> Iterator[Finding]:
    """Ask the namespaces of a new lab which of them has the address, and by which node it is reached."""
    said = answer if isinstance(answer, list) and len(answer) == 2 else [answer, None]
    with Lab.open(Text(NAME, given["manifest"])) as lab:
        address = given["address"]
        holders = [name for name in lab.pods if lab.route(name, address).startswith("local")]
        nodes = [name for name in lab.nodes if f"{address} dev cni0" in lab.route(name, address)]
    yield _compare("pod", holders[0], said[0], "ip netns exec NAME ip -brief address, for each pod")
    yield _compare(
        "node", nodes[0], said[1], "only on the pod's own node does `ip route get ADDRESS` say cni0"
    )


def _compare(part: str, right: str, said: Any, todo: str) -> Finding:
    is_right = said == right
    expected = f"the name of the {part}"
    return Finding(part, float(is_right), 1.0, expected, repr(said)[:80], "" if is_right else todo)


EXERCISE = Exercise(NAME, 2.0, plan_draw, Variable("found"), judge)
