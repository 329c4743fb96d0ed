"""Judges of the sentences on who is chosen, and what happens when it is dead: 10 and 11. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.claim import CONFIRMED, CONTRADICTED, LIMITED, UNDECIDED, Part
from labkit.claims.figures import Figures, ratio
from labkit.claims.plan import ALGORITHMS, CONNECTIONS, HELD, TRIED
from labkit.claims.speed_judges import CLEARLY, judge_first_packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.claims.claim import Verdict


def judge_algorithms(figures: Figures) -> Iterator[Part]:
    """Judge sentence 10: IPVS has several algorithms, iptables only random choice."""
    offered = figures["schedulers that this Linux offers"]
    spread = {name: figures[f"IPVS {name}: most minus fewest answers of a pod"] for name in TRIED}
    answered = [figures.count(f"IPVS {name}: of {CONNECTIONS} answered") for name in TRIED]
    works = all(count == CONNECTIONS for count in answered) and spread["rr"].value <= 1
    why = (
        f"`{'`, `'.join(TRIED)}` all forwarded, and `rr` shared to within one connection."
        if works
        else "Some scheduler did not forward all connections, or `rr` did not take turns."
    )
    yield Part("several in IPVS", CONFIRMED if works else CONTRADICTED, why, (offered, *spread.values()))
    chosen, at_random = figures["iptables rules that choose"], figures["iptables rules that choose at random"]
    is_random = chosen.value == at_random.value > 0
    why = (
        "Each rule that chooses among pods rolls dice."
        if is_random
        else "Some rule that chooses among pods does not roll dice."
    )
    yield Part("only random in iptables", CONFIRMED if is_random else CONTRADICTED, why, (chosen, at_random))
    yield _judge_use(figures)


def _judge_use(figures: Figures) -> Part:
    """Judge what the algorithms can use in a cluster: weights, and what other nodes know."""
    servers = figures["real servers"]
    weighted = figures["real servers with another weight than 1"]
    own, other = (figures[f"of {HELD} connections through node-1, counted by node-{one}"] for one in (1, 2))
    if weighted.value == 0 and own.value == HELD and other.value == 0:
        why = (
            "kube-proxy gives every real server weight 1, so that `wrr` is `rr` and `wlc` is `lc`; and "
            "each node counts only the connections that pass through it, so that `lc` and `sed` know one "
            "node's load, not the pods'."
        )
        return Part("of use in a cluster", LIMITED, why, (servers, weighted, own, other))
    return Part(
        "of use in a cluster", CONFIRMED, "Weights differ, or nodes count together.", (weighted, own, other)
    )


def judge_better(figures: Figures) -> Iterator[Part]:
    """Judge sentence 11: better scalability, better algorithms, health checks, connection retries."""
    scales = judge_first_packet(figures)
    yield Part("better scalability", scales.verdict, scales.why, scales.figures)
    yield _judge_waiting(figures)
    yield from _judge_dead(figures)


def _judge_waiting(figures: Figures) -> Part:
    p99 = {name: figures[f"unequal pods, {name}: p99 of the response"] for name in ALGORITHMS}
    gain = ratio("p99 of iptables / IPVS lc, unequal pods", p99["iptables"], p99["IPVS lc"])
    verdict: Verdict
    if gain.low >= CLEARLY:
        verdict = LIMITED
        why = (
            "Where pods need 5, 10 and 40 ms and all calls pass through one node, `lc` keeps the slowest "
            "calls much shorter than dice do. Sentence 10 says what limits it in a cluster."
        )
    elif gain.high < CLEARLY:
        verdict, why = CONTRADICTED, "Unequal pods make nobody wait longer with dice than with `lc`."
    else:
        verdict, why = UNDECIDED, "This run cannot tell `lc` from dice."
    return Part("better algorithms", verdict, why, tuple(p99.values()))


def _judge_dead(figures: Figures) -> Iterator[Part]:
    """Judge health checks and retries by calls without retries, while one of three pods is dead."""
    before = tuple(
        figures[f"{name}: of 60 calls failed while the dead pod was an endpoint"] for name in ALGORITHMS
    )
    last = tuple(figures[f"{name}: of the last 20 of them"] for name in ALGORITHMS)
    after = tuple(figures[f"{name}: of 59 calls failed after it was removed"] for name in ALGORITHMS)
    ipvs_failed = figures.count("IPVS rr: of 60 calls failed while the dead pod was an endpoint")
    ipvs_last = figures.count("IPVS rr: of the last 20 of them")
    if ipvs_last:
        why = (
            "To the end calls were sent to the dead pod, in IPVS mode as in iptables mode. They stopped "
            "when its endpoint was removed, which a readiness probe of the kubelet's brings about in every "
            "mode."
        )
        yield Part("health checks", CONTRADICTED, why, (*last, *after))
    else:
        yield Part("health checks", CONFIRMED, "Calls to the dead pod stopped by themselves.", last)
    if ipvs_failed:
        why = "A call that was sent to the dead pod failed. Nobody but the client tried another pod."
        yield Part("connection retries", CONTRADICTED, why, before)
    else:
        yield Part("connection retries", CONFIRMED, "No call failed: another pod was tried.", before)
