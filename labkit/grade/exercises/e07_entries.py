"""07-entries: how many connections nodes remember, in connection tracking and in IPVS, and for how long."""

from __future__ import annotations

import time
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

NAME = "07-entries"
PODS = 3
SLACK = 0.06  # while calls go on: some end just now, and timers of two minutes may be 5 s late
TODO = {
    "far": "each node that the packets pass has an entry of its own; who has IPVS?",
    "ipvs": "what does the node of a virtual server remember beside connection tracking?",
    "late": "how long is a closed connection remembered?",
    "steady": "those that ended in the last two minutes are remembered: how many began in that time?",
}


def plan_draw(random: Random) -> Given:
    """Return four situations: on which node the pods are, how many calls, how often, how long ago."""
    every_s = random.choice([1.0, 2.0, 4.0])
    steady = {"every_s": every_s, "connections": round(random.randint(180, 320) / every_s), "wait_s": 0}
    return {
        "situations": {
            "far": _at_once(random, "iptables", "node-2", random.randint(10, 90)),
            "ipvs": _at_once(random, "ipvs", "node-1", random.randint(10, 90)),
            "late": _at_once(random, "ipvs", "node-2", random.randint(140, 300)),
            "steady": {"mode": random.choice(["iptables", "ipvs"]), "pods_on": "node-2", **steady},
        }
    }


def _at_once(random: Random, mode: str, node: str, wait_s: int) -> Given:
    connections = random.randint(20, 80)
    return {"mode": mode, "pods_on": node, "every_s": 0.0, "connections": connections, "wait_s": wait_s}


def judge(given: Given, entries: Any) -> Iterator[Finding]:
    """Make the calls, wait, and read what the nodes remember."""
    said = entries if isinstance(entries, dict) else {}
    for name, situation in given["situations"].items():
        right, mine = _remembered(situation), said.get(name)
        is_right = (
            isinstance(mine, list)
            and len(mine) == len(right)
            and all(_is_close(one, other, situation) for one, other in zip(mine, right, strict=True))
        )
        yield Finding(
            name,
            float(is_right),
            1.0,
            "entries of connection tracking on node-1 and on node-2, of IPVS on node-1",
            repr(mine)[:60],
            "" if is_right else TODO[name],
        )


def _is_close(said: Any, right: int, situation: Given) -> bool:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return is_number and abs(said - right) <= (1 + SLACK * right if situation["every_s"] else 0)


def _remembered(situation: Given) -> list[int]:
    pods = (clusters.pod(f"web-{number}", "web", node=situation["pods_on"]) for number in range(1, PODS + 1))
    service = clusters.service("web", cluster_ip="10.96.0.10")
    manifest = clusters.joined(clusters.nodes(2), *pods, service)
    with Lab.open(Text(NAME, manifest), mode=situation["mode"]) as lab:
        lab.call("web", calls=situation["connections"], every_s=situation["every_s"], retries=0)
        time.sleep(situation["wait_s"])
        first, second = (lab.namespace(name) for name in ("node-1", "node-2"))
        return [_tracked(first), _tracked(second), _virtual(first)]


def _tracked(node: Namespace) -> int:
    # The count that `conntrack -C` prints has entries in it whose time is over, until the kernel sweeps.
    return len(node.command(["conntrack", "-L"]).stdout.splitlines())


def _virtual(node: Namespace) -> int:
    lines = node.command(["ipvsadm", "-L", "-n", "-c"]).stdout.splitlines()
    return sum(line.startswith("TCP") for line in lines)


EXERCISE = Exercise(NAME, 4.0, plan_draw, Variable("entries"), judge)
