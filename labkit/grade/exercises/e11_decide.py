"""11-decide: a worksheet for a drawn cluster: which modes its needs rule out, and what the figures say.

What can be tried is tried in a lab of each mode (`TRIED`); what documents say stands in `_by_documents`, with
its source. The learner's figures are taken as they are: what follows from them is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Variable
from labkit.grade.exercises import clusters
from labkit.grade.exercises.publishing import INGRESS_PORT, call
from labkit.grade.mark import Finding
from labkit.lab import Lab
from labkit.proxy.plans import MODES
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from labkit.grade.exercise import Given

NAME = "11-decide"
NONE = "none"
DEPRECATED = "ipvs"
OLDEST_KERNEL = (5, 13)  # for nftables mode
KERNELS = ("5.4", "5.10", "5.15", "6.1", "6.12")
NEEDS = (  # each leaves another mode, or none
    ("shared",),
    ("shared", "unused"),
    ("localhost", "shared"),
    ("bridge", "unused"),
    ("least", "unused"),
    ("least", "shared"),
)
TRIED = ("localhost", "shared", "bridge", "unused")
UNUSED_PORT = 9
MOST_US = 10_000.0
PLAUSIBLE = (
    "sizes, and for each of three modes two delays in microseconds: at the smaller size and at the larger"
)


def plan_draw(random: Random) -> Given:
    """Return a cluster: its Services, budget and needs, and a manifest to try things on."""
    app, api = random.sample(clusters.APPS, 2)
    places = {
        "_app": app,
        "_node_port": random.randrange(30000, 32768),
        "_address": f"203.0.113.{random.randint(10, 249)}",
        "_cluster_ip": f"10.96.{random.randint(1, 254)}.{random.randint(1, 254)}",
        "_kernel": random.choice(KERNELS),
    }
    sentences = _sentences(places)
    api_port = random.choice([443, 3000, 8080, 9000])
    return {
        "manifest": _manifest(places, api, api_port),
        "services": random.randrange(1000, 30_000, 500),
        "budget_us": random.choice([20, 40, 80]),
        "needs": {one: sentences[one] for one in ("kernel", *random.choice(NEEDS))},
        **places,
    }


def _sentences(places: Given) -> dict[str, str]:
    node_port = places["_node_port"]
    return {
        "kernel": f"the nodes run Linux {places['_kernel']}, and will for years",
        "localhost": f"a program on each node calls a Service at 127.0.0.1:{node_port}",
        "shared": (
            f"pods call the Ingress at {places['_address']}:80; "
            "a Service of type LoadBalancer has this address, too"
        ),
        "bridge": (
            "pods call a node port at another address of their node than its main one: "
            f"10.244.1.1:{node_port}"
        ),
        "unused": (
            "a call to a port that no Service has is refused at once and not left to time out: "
            f"{places['_cluster_ip']}:{UNUSED_PORT}"
        ),
        "least": "new connections go to the pod with the fewest open ones",
    }


def _manifest(places: Given, api: str, api_port: int) -> str:
    app, published = places["_app"], clusters.published_at(places["_address"])
    return clusters.joined(
        clusters.nodes(2),
        clusters.deployment(app, 2),
        clusters.deployment(api, 2),
        clusters.service(
            app, type="NodePort", node_port=places["_node_port"], cluster_ip=places["_cluster_ip"]
        ),
        clusters.ingress(app) + published,
        clusters.service(api, type="LoadBalancer", port=api_port) + published,
    )


def judge(given: Given, decision: Any) -> Iterator[Finding]:
    """Find each mode's unmet needs, by documents and by trying; then what follows from the figures."""
    said = decision if isinstance(decision, dict) else {}
    unmet = {mode: _unmet(given, mode) for mode in MODES}
    unmet_said = said.get("unmet")
    ruled_out = unmet_said if isinstance(unmet_said, dict) else {}
    for mode in MODES:
        yield _compare_unmet(mode, ruled_out.get(mode), unmet[mode], given["needs"])
    delays = _delays(said.get("first_packet_us"), said.get("sizes"), given["services"])
    yield _figures(said, delays)
    too_slow = {mode for mode, delay in delays.items() if delay > given["budget_us"]}
    yield _compare_slow(said.get("too_slow"), too_slow, delays, given)
    left = [mode for mode in MODES if not unmet[mode] and mode not in too_slow]
    yield _compare_mode(said.get("mode"), left, has_figures=bool(delays))


def _unmet(given: Given, mode: str) -> set[str]:
    """Return the needs, by name, that a mode does not meet."""
    tried = [need for need in given["needs"] if need in TRIED]
    failed = {need for need in given["needs"] if need not in TRIED and _by_documents(given, mode, need)}
    if tried:
        with Lab.open(Text(NAME, given["manifest"]), mode=mode) as lab:
            failed |= {need for need in tried if not _is_met(lab, given, need)}
    return failed


def _by_documents(given: Given, mode: str, need: str) -> bool:
    """Whether documents say that a mode does not meet a need.

    nftables mode needs Linux 5.13, and only IPVS mode has schedulers: kubernetes.io, Virtual IPs and Service
    Proxies.
    """
    if need == "kernel":
        major, minor = map(int, given["_kernel"].split("."))
        return mode == "nftables" and (major, minor) < OLDEST_KERNEL
    return mode != "ipvs"


def _is_met(lab: Lab, given: Given, need: str) -> bool:
    pod, node_port = f"{given['_app']}-1", given["_node_port"]
    caller, address, port = {
        "localhost": ("node-1", "127.0.0.1", node_port),
        "shared": (pod, given["_address"], INGRESS_PORT),
        "bridge": (pod, "10.244.1.1", node_port),
        "unused": (pod, given["_cluster_ip"], UNUSED_PORT),
    }[need]
    heard = call(lab, caller, address, port)
    return "timed out" not in heard if need == "unused" else heard.startswith("pod=")


def _delays(figures: Any, sizes: Any, services: int) -> dict[str, float]:
    """Return each mode's delay for so many Services, on the line through its two figures; {} without."""
    if not isinstance(figures, dict) or set(figures) != set(MODES) or not _is_pair(sizes):
        return {}
    few, many = sizes
    if not all(_is_pair(pair) for pair in figures.values()) or few >= many:
        return {}
    return {
        mode: first + (second - first) / (many - few) * (services - few)
        for mode, (first, second) in figures.items()
    }


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
        and all(0 < one <= MOST_US for one in value)
    )


def _compare_unmet(mode: str, said: Any, right: set[str], needs: Mapping[str, str]) -> Finding:
    is_right = isinstance(said, list) and sorted(map(str, said)) == sorted(right)
    return Finding(
        f"unmet by {mode}",
        float(is_right),
        1.0,
        f"a list of those of {', '.join(needs)} that {mode} mode does not meet",
        repr(said)[:80],
        "" if is_right else f"open task.manifest in {mode} mode and try; read what each mode needs",
    )


def _figures(said: Mapping[str, Any], delays: Mapping[str, float]) -> Finding:
    todo = (
        "" if delays else "put in what you measured: sizes, and for each mode the first packet's two delays"
    )
    return Finding(
        "your figures",
        float(bool(delays)),
        1.0,
        PLAUSIBLE,
        repr(said.get("first_packet_us"))[:80],
        todo,
    )


def _compare_slow(said: Any, right: set[str], delays: Mapping[str, float], given: Given) -> Finding:
    is_right = bool(delays) and isinstance(said, list) and sorted(map(str, said)) == sorted(right)
    shown = ", ".join(f"{mode} {delay:.1f}" for mode, delay in delays.items()) or "no figures"
    return Finding(
        "too slow",
        float(is_right),
        1.0,
        f"those over {given['budget_us']} us with {given['services']:,} Services; by your figures: {shown}",
        repr(said)[:80],
        ""
        if is_right
        else "draw a straight line through a mode's two figures, out to your number of Services",
    )


def _compare_mode(said: Any, left: Sequence[str], *, has_figures: bool) -> Finding:
    supported = [mode for mode in left if mode != DEPRECATED] or list(left)
    is_right = has_figures and said in (supported or [NONE])
    todo = "a mode that meets every need within the budget, the deprecated one last; none: say so"
    return Finding(
        "the mode",
        float(is_right),
        1.0,
        "what your worksheet leaves",
        repr(said)[:80],
        "" if is_right else todo,
    )


EXERCISE = Exercise(NAME, 6.0, plan_draw, Variable("decision"), judge)
