"""01-node-port: two pods behind a port of one node, for everybody, by rules that the learner writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.calls import find_even_shares, make_calls
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

NAME = "01-node-port"
NODE = "node-1"
CALLS = 200


def plan_draw(random: Random) -> Given:
    """Return a cluster of two pods, one on each node, and the node port that shall lead to them."""
    pod_port = random.randrange(8000, 9000)
    app = random.choice(clusters.APPS)
    manifest = clusters.joined(clusters.nodes(2), clusters.deployment(app, 2, pod_port))
    cluster = read_manifests([Text(NAME, manifest)])
    return {
        "manifest": manifest,
        "node_address": cluster.nodes[0].address,
        "node_port": random.randrange(30000, 32768),
        "endpoints": [f"{pod.address}:{pod_port}" for pod in cluster.pods],
    }


def judge(given: Given, tables: Any) -> Iterator[Finding]:
    """Put the tables into a new node-1 and call the port from outside and from a client on node-1."""
    target = Target(given["node_address"], given["node_port"])
    with Lab.open(Text(NAME, given["manifest"])) as lab:
        replay_tables(lab.namespace(NODE), tables)
        clients = lab.network.plan.clients
        outside = make_calls(lab, "outside", clients["outside"].addresses, target, CALLS)
        inside = make_calls(lab, "client", clients["client"].addresses, target, CALLS)
        counts = {pod.name: outside.answers.get(pod.key, 0) for pod in lab.cluster.pods}
    yield _answered("outside", outside, 1.5, "masquerade what `conntrack -L` shows as rewritten")
    yield _answered("client", inside, 1.0, "the last of the rules must take all that is left")
    todo = "the first rule takes half, the second all that it left; only answered calls count"
    yield find_even_shares(counts, outside.total, 1.5, todo)


def _answered(caller: str, calls: Calls, most: float, todo: str) -> Finding:
    is_whole = calls.answered == calls.total
    expected = f"{calls.total} of {calls.total} calls answered"
    return Finding(
        f"{caller} is answered",
        most if is_whole else 0.0,
        most,
        expected,
        str(calls),
        "" if is_whole else todo,
    )


EXERCISE = Exercise(NAME, 4.0, plan_draw, NodeTables(NODE), judge)
