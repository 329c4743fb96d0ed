"""09-who-is-seen: under each external traffic policy, whose address a pod sees, or whether anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.exercises.publishing import call
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from labkit.grade.exercise import Given

NAME = "09-who-is-seen"
POINTS_EACH = 0.5
OUTSIDE = tuple(
    f"outside {node} {policy}" for node in ("node-1", "node-2") for policy in ("cluster", "local")
)
CALLS = (*OUTSIDE, "pod itself", "client")


def plan_draw(random: Random) -> Given:
    """Return a pod on one of two nodes with a Service of each policy, a mode, and the calls to predict."""
    app = random.choice(clusters.APPS)
    cluster_port, local_port = random.sample(range(30000, 32768), 2)
    cluster_ip = f"10.96.{random.randint(1, 254)}.{random.randint(1, 254)}"
    node = random.choice(["node-1", "node-2"])
    ports = {"cluster": cluster_port, "local": local_port}
    return {
        "manifest": _manifest(app, node, cluster_ip, ports),
        "mode": random.choice(["iptables", "ipvs", "nftables"]),
        "calls": list(CALLS),
        "_app": app,
        "_cluster_ip": cluster_ip,
        "_ports": ports,
    }


def _manifest(app: str, node: str, cluster_ip: str, node_ports: Mapping[str, int]) -> str:
    """Return two nodes, a pod, and a Service of each policy; the client asks the first one's cluster IP."""
    services = [
        clusters.service(
            f"{app}-{policy.lower()}",
            app=app,
            type="NodePort",
            node_port=node_ports[policy.lower()],
            external_traffic_policy=policy,
            cluster_ip=address,
        )
        for policy, address in (("Cluster", cluster_ip), ("Local", ""))
    ]
    return clusters.joined(clusters.nodes(2), clusters.pod(app, app, node=node), *services)


def judge(given: Given, seen: Any) -> Iterator[Finding]:
    """Make the calls in the drawn mode, and compare with whom the pod said it saw."""
    said = seen if isinstance(seen, dict) else {}
    with Lab.open(Text(NAME, given["manifest"]), mode=given["mode"]) as lab:
        outcomes = {name: _who_is_seen(lab, given, name) for name in given["calls"]}
    for name, right in outcomes.items():
        is_right = said.get(name) == right
        yield Finding(
            name,
            POINTS_EACH if is_right else 0.0,
            POINTS_EACH,
            "caller, node or nobody",
            repr(said.get(name))[:60],
            "" if is_right else "must the answer come back through the node that rewrote the call?",
        )


def _who_is_seen(lab: Lab, given: Given, name: str) -> str:
    who, *where = name.split()
    caller = {"pod": given["_app"]}.get(who, who)
    if who == "outside":
        node, policy = where
        addresses = {one.name: one.address for one in lab.cluster.nodes}
        answer = call(lab, caller, addresses[node], given["_ports"][policy])
    else:
        answer = call(lab, caller, given["_cluster_ip"], 80)
    if not answer.startswith("pod="):
        return "nobody"
    peer = answer.rpartition("peer=")[2].rpartition(":")[0]
    own = lab.namespace(caller).command(["ip", "-brief", "address"]).stdout
    return "caller" if f" {peer}/" in own else "node"


EXERCISE = Exercise(NAME, 3.0, plan_draw, Variable("seen"), judge)
