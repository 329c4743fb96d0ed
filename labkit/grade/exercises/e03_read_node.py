"""03-read-node: what stands in a node in IPVS mode: addresses, virtual servers, the pods of one Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.proxy.ipvs import DEVICE
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "03-read-node"
NODE = "node-1"


def plan_draw(random: Random) -> Given:
    """Return a cluster of three Services, some with a node port, and one of them to look at."""
    lasts = random.sample(range(20, 250), 3)
    apps = [
        {
            "name": name,
            "replicas": random.randint(2, 4),
            "kind": random.choice(["ClusterIP", "NodePort"]),
            "cluster_ip": f"10.96.{random.randint(1, 254)}.{last}",
            "pod_port": random.randrange(8000, 9000),
            "port": random.choice([80, 443, 3000, 5432, 6379]),
        }
        for name, last in zip(random.sample(clusters.APPS, 3), lasts, strict=True)
    ]
    asked = random.choice(apps)
    manifest = clusters.joined(clusters.nodes(2), *(document for app in apps for document in _documents(app)))
    return {"manifest": manifest, "cluster_ip": asked["cluster_ip"], "port": asked["port"]}


def _documents(app: Given) -> tuple[str, str]:
    return (
        clusters.deployment(app["name"], app["replicas"], app["pod_port"]),
        clusters.service(app["name"], type=app["kind"], port=app["port"], cluster_ip=app["cluster_ip"]),
    )


def judge(given: Given, found: Any) -> Iterator[Finding]:
    """Program the cluster anew and read its node-1."""
    said = found if isinstance(found, dict) else {}
    cluster = read_manifests([Text(NAME, given["manifest"])])
    with Lab.open(Text(NAME, given["manifest"]), mode="ipvs") as lab:
        node = lab.namespace(NODE)
        lines = node.command(["ipvsadm", "-S", "-n"]).stdout.splitlines()
        words = node.command(["ip", "-brief", "address", "show", "dev", DEVICE]).stdout.split()
    addresses = {word.removesuffix("/32") for word in words if word.endswith("/32")}
    virtual_servers = sum(line.startswith("-A") for line in lines)
    asked = next(one for one in cluster.services if one.cluster_ip == given["cluster_ip"])
    address = f" {asked.cluster_ip}:{given['port']} "
    real = [line.split() for line in lines if line.startswith("-a") and address in line]
    pods = {words[words.index("-r") + 1] for words in real}
    yield _compare("addresses", _texts(said.get("addresses")), addresses, "ip address show dev kube-ipvs0")
    yield _compare(
        "virtual_servers", said.get("virtual_servers"), virtual_servers, "count them: ipvsadm -L -n"
    )
    yield _compare("pods", _texts(said.get("pods")), pods, f"ipvsadm -L -n -t {address.strip()}")


def _texts(value: Any) -> Any:
    is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return set(value) if is_list and len(set(value)) == len(value) else value


def _compare(part: str, said: Any, right: Any, todo: str) -> Finding:
    is_right = type(said) is type(right) and said == right
    expected = "a number" if isinstance(right, int) else "a list of texts, in any order, each once"
    return Finding(part, float(is_right), 1.0, expected, repr(said)[:80], "" if is_right else todo)


EXERCISE = Exercise(NAME, 3.0, plan_draw, Variable("found"), judge)
