"""02-by-hand: a Service made by hand, with iptables on one node: DNAT by chance, masquerade where it must be.

Given is a cluster without a Service. The learner's rules on `node-1` shall do for one address and port what
kube-proxy's do: share connections out evenly, for pods and for the node itself, hide nobody's address without
need, and let a pod reach itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.calls import find_even_shares, make_calls, make_shared_calls
from labkit.grade.exercise import Exercise, NodeTables
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.grade.replay import replay_tables
from labkit.lab import Lab
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text
from labkit.traffic.flow import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.calls import Calls
    from labkit.grade.exercise import Given

NAME = "02-by-hand"
NODE = "node-1"
FEW_CALLS = 70  # that one pod of five is not chosen once in so many has a chance of 0.8 ** 70, 2e-7


def plan_draw(random: Random) -> Given:
    """Return a cluster of three to five pods, and the address and port of the Service that it shall have."""
    pod_port = random.randrange(8000, 9000)
    app = random.choice(clusters.APPS)
    manifest = clusters.joined(clusters.nodes(2), clusters.deployment(app, random.randint(3, 5), pod_port))
    cluster = read_manifests([Text(NAME, manifest)])
    return {
        "manifest": manifest,
        "cluster_ip": f"10.96.{random.randint(1, 254)}.{random.randint(1, 254)}",
        "port": random.choice([80, 443, 3000, 5432, 6379, 8080]),
        "endpoints": [f"{pod.address}:{pod_port}" for pod in cluster.pods],
    }


def judge(given: Given, tables: Any) -> Iterator[Finding]:
    """Put the tables into a new node-1 and call the Service from a client, from the node and from a pod."""
    target = Target(given["cluster_ip"], given["port"])
    with Lab.open(Text(NAME, given["manifest"])) as lab:
        replay_tables(lab.namespace(NODE), tables)
        pods = [pod.key for pod in lab.cluster.pods]
        calls = make_shared_calls(lab, "client", target, pods)
        yield _answered(calls)
        todo = "of n pods the first rule takes 1/n, the next 1/(n-1) of what is left"
        yield find_even_shares(_counts(calls, pods), calls.total, 1.0, todo)
        yield _seen(calls)
        yield _reaches_itself(lab, target)
        yield _from_node(lab, target)


def _answered(calls: Calls) -> Finding:
    lacking = calls.total - calls.answered
    todo = "a connection that no rule takes is not forwarded: the last rule must take all that is left"
    return Finding(
        "every call is answered",
        0.0 if lacking else 2.0,
        2.0,
        f"{calls.total} of {calls.total} calls from the client answered",
        str(calls),
        todo if lacking else "",
    )


def _counts(calls: Calls, pods: list[str]) -> dict[str, int]:
    """Return how many calls each pod answered; what nobody did counts for the pod that has the fewest.

    That is what a last rule lets pass that does not take all: it loses points for that, and not twice.
    """
    counts = {pod: calls.answers.get(pod, 0) for pod in pods}
    names = {pod: pod.partition("/")[2] for pod in pods}
    if calls.answered < calls.total:
        fewest = min(pods, key=lambda pod: counts[pod])
        counts[fewest] += calls.total - calls.answered
        names[fewest] += " or nobody"
    return {names[pod]: count for pod, count in counts.items()}


def _seen(calls: Calls) -> Finding:
    is_open = calls.answered > 0 and not calls.rewritten
    return Finding(
        "the pod sees its caller",
        1.0 if is_open else 0.0,
        1.0,
        "the client's own address at the pods",
        f"pods saw {', '.join(calls.rewritten)}" if calls.rewritten else str(calls),
        "" if is_open else "masquerade only what would not find its way back",
    )


def _reaches_itself(lab: Lab, target: Target) -> Finding:
    pod = next(pod for pod in lab.cluster.pods if pod.node == NODE)
    calls = make_calls(lab, pod.key, [pod.address], target, FEW_CALLS)
    own = calls.answers.get(pod.key, 0)
    return Finding(
        "a pod reaches itself",
        1.0 if own else 0.0,
        1.0,
        f"some of {calls.total} calls from pod {pod.name} answered by itself",
        f"{own} by itself; {calls}",
        ""
        if own
        else "a pod takes no packet that comes from its own address: masquerade a pod's call to itself",
    )


def _from_node(lab: Lab, target: Target) -> Finding:
    node = next(node for node in lab.cluster.nodes if node.name == NODE)
    calls = make_calls(lab, NODE, [node.address], target, FEW_CALLS)
    return Finding(
        "the node itself reaches it",
        1.0 if calls.answered else 0.0,
        1.0,
        f"calls from {NODE} itself answered",
        str(calls),
        "" if calls.answered else "what a node sends itself does not pass PREROUTING: it begins in OUTPUT",
    )


EXERCISE = Exercise(NAME, 6.0, plan_draw, NodeTables(NODE), judge)
