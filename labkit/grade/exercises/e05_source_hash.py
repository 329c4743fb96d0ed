"""05-source-hash: a function that makes the kernel's own choices under the scheduler `sh`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Function
from labkit.grade.exercises import clusters
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from labkit.grade.exercise import Given

NAME = "05-source-hash"
CLIENTS = 48
MOST = 4.0


def plan_draw(random: Random) -> Given:
    """Return three to seven pods, as IPVS lists them (the last added first), and clients to choose for."""
    names = random.sample([f"web-{letter}" for letter in "abcdefghij"], random.randint(3, 7))
    documents = [clusters.pod(name, "web") for name in sorted(names)]
    manifest = clusters.joined(
        clusters.nodes(1), *documents, clusters.service("web", cluster_ip="10.96.0.10")
    )
    pods = read_manifests([Text(NAME, manifest)]).pods
    listed = sorted(pods, key=lambda pod: tuple(map(int, pod.address.split("."))), reverse=True)
    first = random.randrange(128, 192 - CLIENTS)
    return {
        "manifest": manifest,
        "pods": [pod.name for pod in listed],
        "clients": [f"10.244.1.{last}" for last in range(first, first + CLIENTS)],
    }


def judge(given: Given, chosen: Any) -> Iterator[Finding]:
    """Let the kernel choose for every client, and compare."""
    with Lab.open(Text(NAME, given["manifest"]), mode="ipvs", scheduler="sh") as lab:
        measured = lab.measure("web", connections=64, clients=64, concurrency=1)
    kernel = {flow.client.partition(":")[0]: (flow.pod or "/").partition("/")[2] for flow in measured.flows}
    right = [kernel[client] for client in given["clients"]]
    said = chosen if isinstance(chosen, list) and len(chosen) == len(right) else [None] * len(right)
    hits = sum(one == other for one, other in zip(said, right, strict=True))
    points = (
        MOST if hits == len(right) else MOST / 2 if said[0] == right[0] and hits > len(right) / 2 else 0.0
    )
    missed = next((at for at, (one, other) in enumerate(zip(said, right, strict=True)) if one != other), 0)
    yield Finding(
        "the kernel's choices",
        points,
        MOST,
        f"{len(right)} of {len(right)} clients with the kernel's pod",
        f"{hits}; first difference: {given['clients'][missed]} to {said[missed]!r}"
        if hits < len(right)
        else f"{hits}",
        "" if points == MOST else "32 bits of the product, then its uppermost 8; dealt in the listed order",
    )


EXERCISE = Exercise(NAME, MOST, plan_draw, Function("choose_pods", ("clients", "pods")), judge)
