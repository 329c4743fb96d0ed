"""06-who-walks: how far a new connection's first packet goes along the list of Services, on each node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given
    from labkit.measure.journey.journey import Journey

NAME = "06-who-walks"
NODES = ("node-1", "node-2")
CHAIN = ("nat", "KUBE-SERVICES")
POD_PORT = 8080
TODO = {
    "near": "count the list's rules up to the one that matches; does anybody else read for this pod?",
    "far": "what address does the packet carry when it enters the pod's node? which rule there has it?",
    "direct": "a packet to a pod's own address is to no Service: which rule of the list stops it?",
    "later": "who remembers a connection, so that its later packets meet no rule of the table nat?",
}


def plan_draw(random: Random) -> Given:
    """Return 12 to 30 Services, each in front of a pod on the one or on the other node, and whom to call."""
    names = [f"s-{number}" for number in range(1, random.randint(12, 30) + 1)]
    random.shuffle(names)  # a Service's name does not say which place its rule has
    near, far = random.sample(names[2:-1], 2)  # neither the first nor the last: those are easy to guess
    behind = {name: random.choice(["near", "far"]) for name in names} | {near: "near", far: "far"}
    services = (
        clusters.service(name, app=behind[name], cluster_ip=f"10.96.1.{number}")
        for number, name in enumerate(names, 1)
    )
    pods = (clusters.pod(app, app, node=node) for app, node in zip(("near", "far"), NODES, strict=True))
    return {
        "manifest": clusters.joined(clusters.nodes(len(NODES)), *pods, *services),
        "calls": {"near": near, "far": far, "direct": f"far:{POD_PORT}", "later": far},
    }


def judge(given: Given, compared: Any) -> Iterator[Finding]:
    """Send a connection for each call, and count the list's rules that its packets were compared with."""
    said = compared if isinstance(compared, dict) else {}
    with Lab.open(Text(NAME, given["manifest"]), mode="iptables") as lab:
        for call, asked in given["calls"].items():
            with lab.journey("client", service=asked) as journey:
                right = [_rules_of_list(journey, node, first=call != "later") for node in NODES]
            is_right = said.get(call) == right
            yield Finding(
                call,
                float(is_right),
                1.0,
                f"rules of the list compared on {' and '.join(NODES)}: two numbers",
                repr(said.get(call))[:60],
                "" if is_right else TODO[call],
            )


def _rules_of_list(journey: Journey, node: str, *, first: bool) -> int:
    """Return how many rules of KUBE-SERVICES the first packet met on a node, or the later ones together."""
    return sum(
        event.compared
        for event in journey.events
        if event.namespace == node and (event.table, event.chain) == CHAIN and (event.packet == 1) == first
    )


EXERCISE = Exercise(NAME, 4.0, plan_draw, Variable("compared"), judge)
