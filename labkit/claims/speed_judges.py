"""Judges of the sentences on speed: 2, 3, 6 and 9. Pure: figures in, parts out.

Their thresholds stand far from what was seen (docs/performance.md), so that noise flips no verdict: a ratio
that is judged by 1.5 was seen at 3 and more, on a machine with ten times as much to do as processors, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.claim import CONFIRMED, CONTRADICTED, LIMITED, UNDECIDED, Part
from labkit.claims.figures import (
    FEW,
    MANY,
    SIZES,
    Figure,
    Figures,
    change_time,
    counted_services,
    first_packet,
    number,
    ratio,
)
from labkit.claims.plan import FEW_PODS, MANY_PODS, MANY_SERVERS
from labkit.measure.slope import fit_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.claims.claim import Verdict

CLEARLY = 1.5  # a difference that counts, either way
SMALL_SLOPE_NS = 1.0  # what each Service adds at least where the cost is called linear
LITTLE = 4.0  # what 7,500 times as many Services may do to a cost that is called nearly constant
GROWTH = 5.0  # MANY_PODS are 16 times FEW_PODS: half of that in rules, and a margin


def judge_throughput(figures: Figures) -> Iterator[Part]:
    """Judge sentence 2: IPVS has higher throughput, forwards faster, suits large clusters."""
    yield judge_first_packet(figures)
    yield _judge_rate(figures)
    yield judge_programming(figures)


def judge_first_packet(figures: Figures) -> Part:
    """Judge whether a connection's first packet is forwarded faster in IPVS mode, by the cluster's size."""
    small, large = (_first_packets(figures, size, "last") for size in (FEW, MANY))
    verdict: Verdict
    if large.low < CLEARLY:
        verdict = CONTRADICTED if large.high < CLEARLY else UNDECIDED
        why = f"With {MANY:,} Services the first packet is not clearly faster in IPVS mode."
    elif small.low >= CLEARLY:
        verdict, why = CONFIRMED, "The first packet is faster in IPVS mode, with one Service, too."
    else:
        verdict = LIMITED
        why = (
            f"With {MANY:,} Services a connection's first packet to the last one is faster in IPVS mode; "
            "with one Service it is not."
        )
    return Part("faster forwarding", verdict, why, (large, small))


def _judge_rate(figures: Figures) -> Part:
    rate = figures["one connection's rate of IPVS / iptables"]
    if rate.low >= CLEARLY:
        return Part("higher throughput", LIMITED, "One connection's rate was higher, in this guest.", (rate,))
    why = (
        "One connection's rate was not clearly higher in IPVS mode. The guest has one processor and no "
        "network card: what many connections on many processors come to cannot be seen in it."
    )
    return Part("higher throughput", UNDECIDED, why, (rate,))


def judge_programming(figures: Figures) -> Part:
    """Judge whether a change is programmed faster in IPVS mode, in a large cluster."""
    slow, fast = (figures[change_time(mode, MANY)] for mode in ("iptables-legacy", "ipvs"))
    verdict: Verdict
    if slow.value >= CLEARLY * fast.value:
        verdict = LIMITED
        why = (
            f"With {MANY:,} Services one endpoint's removal is programmed faster in IPVS mode. Compared was "
            "iptables' legacy backend, which rewrites its whole table; the nft backend does not."
        )
    else:
        verdict, why = CONTRADICTED, "A change is not programmed faster in IPVS mode."
    return Part("suits large clusters", verdict, why, (slow, fast))


def judge_short(figures: Figures) -> Iterator[Part]:
    """Judge sentence 3: iptables suits few Services or many short concurrent connections."""
    small = _first_packets(figures, FEW, "first")
    verdict: Verdict
    if small.high < CLEARLY:
        verdict, why = (
            CONFIRMED,
            "With one Service iptables mode forwards a first packet no slower than IPVS mode.",
        )
    else:
        verdict, why = UNDECIDED, "Whether IPVS mode is faster with one Service, too, this run cannot say."
    if small.low >= CLEARLY:
        verdict, why = CONTRADICTED, "IPVS mode forwards a first packet clearly faster with one Service, too."
    yield Part("few Services", verdict, why, (small,))
    yield _judge_many_short(figures)


def _judge_many_short(figures: Figures) -> Part:
    took = ratio(
        "connect time of iptables / IPVS, 32 connections at once",
        *(figures[f"short connections, {mode}: connect time"] for mode in ("iptables", "ipvs")),
    )
    left = tuple(figures[f"entries that a connection leaves, {mode}"] for mode in ("iptables", "ipvs"))
    large = _first_packets(figures, MANY, "last")
    shown = (took, *left, large)
    if took.low >= CLEARLY:
        return Part(
            "many short connections", CONTRADICTED, "They take clearly longer in iptables mode.", shown
        )
    if took.high >= CLEARLY or left[0].value >= left[1].value:
        return Part(
            "many short connections", UNDECIDED, "This run shows no advantage, nor that there is none.", shown
        )
    if large.low < CLEARLY:
        why = "They take no longer in iptables mode and leave fewer entries, with many Services, too."
        return Part("many short connections", CONFIRMED, why, shown)
    why = (
        "With few Services they take no longer in iptables mode, and each leaves one entry to remember "
        f"instead of two. With {MANY:,} Services each of them pays for the walk through the rules: a short "
        "connection is all first packet."
    )
    return Part("many short connections", LIMITED, why, shown)


def judge_linear(figures: Figures) -> Iterator[Part]:
    """Judge sentence 6: the cost of iptables mode is O(n) in Services and pods."""
    slope, first = (_slope(figures, "iptables-legacy", place) for place in ("last", "first"))
    met = figures["calls of a pod that met KUBE-SERVICES at PREROUTING"]
    passed = figures["packets that passed PREROUTING meanwhile"]
    last_costs = ratio(
        f"first packet to the last of {MANY:,} Services / to the first one",
        figures[first_packet("iptables-legacy", MANY, "last")],
        figures[first_packet("iptables-legacy", MANY, "first")],
    )
    verdict: Verdict
    if slope.low > SMALL_SLOPE_NS and last_costs.low >= CLEARLY and met.value < passed.value:
        verdict = LIMITED
        why = (
            "A connection's first packet pays for each Service that stands before its own in the list; the "
            "first Service of the list does not get slower, and of each connection's packets only one met "
            "the list."
        )
    elif slope.low > SMALL_SLOPE_NS:
        verdict, why = (
            CONFIRMED,
            "The delay grows with the Services, wherever in the list the Service stands.",
        )
    else:
        verdict, why = _flat_or_unknown(slope)
    yield Part("in Services", verdict, why, (slope, first, last_costs, met, passed))
    few, many = (
        figures[f"iptables, {pods} pods: rules compared to choose one"] for pods in (FEW_PODS, MANY_PODS)
    )
    grows = many.value / few.value >= GROWTH
    why = (
        "The choice among n pods compares (n + 1) / 2 rules on average. Only the pods of the Service that "
        "is called count."
        if grows
        else "The choice does not compare more rules with more pods."
    )
    yield Part("in pods", LIMITED if grows else CONTRADICTED, why, (few, many))


def judge_constant(figures: Figures) -> Iterator[Part]:
    """Judge sentence 9: IPVS' connection processing is O(1)."""
    slope, other = (_slope(figures, mode, "last") for mode in ("ipvs", "iptables-legacy"))
    growth = ratio(
        f"first packet with {counted_services(MANY)} / with {counted_services(FEW)}, ipvs",
        *(figures[first_packet("ipvs", size, "last")] for size in (MANY, FEW)),
    )
    verdict: Verdict
    if growth.high < LITTLE:
        verdict = LIMITED
        why = (
            f"Nearly so: {MANY:,} times as many Services cost a first packet little beside what they cost in "
            "iptables mode. What they do cost is not IPVS' search alone: each has an address on kube-ipvs0, "
            "and the node looks that up, too."
        )
    elif growth.low >= LITTLE:
        verdict, why = CONTRADICTED, "A first packet takes much longer with many Services in IPVS mode, too."
    else:
        verdict, why = UNDECIDED, "Whether a first packet takes much longer with many Services is not clear."
    yield Part("in Services", verdict, why, (growth, slope, other))
    turns, counts = (
        ratio(
            f"first packet with {MANY_SERVERS + 4:,} real servers / with 4, IPVS {scheduler}",
            figures[f"IPVS {scheduler}, {MANY_SERVERS + 4:,} real servers: first packet"],
            figures[f"IPVS {scheduler}, 4 real servers: first packet"],
        )
        for scheduler in ("rr", "lc")
    )
    if counts.low >= CLEARLY:
        verdict = LIMITED
        why = (
            "`rr` takes the next real server; `lc` looks at all of them for each new connection, and so "
            "costs O(pods)."
        )
    elif counts.high < CLEARLY:
        verdict, why = CONFIRMED, "No scheduler tried takes longer with more pods."
    else:
        verdict, why = UNDECIDED, "Whether `lc` takes longer with more pods, this run cannot say."
    yield Part("in pods", verdict, why, (turns, counts))


def _first_packets(figures: Figures, size: int, place: str) -> Figure:
    """Return how many times as long a first packet takes in iptables mode as in IPVS mode."""
    above, below = (figures[first_packet(mode, size, place)] for mode in ("iptables-legacy", "ipvs"))
    name = f"first packet of iptables / IPVS, {counted_services(size)}, to the {place} one"
    return ratio(name, above, below)


def _slope(figures: Figures, mode: str, place: str) -> Figure:
    """Return what a Service adds to a first packet: the slope of the line through all sizes."""
    points = [(size, figures[first_packet(mode, size, place)].value * 1000) for size in SIZES]
    line = fit_line(points)
    return Figure(f"each Service adds, {mode}, to the {place} one", line.slope, line.low, line.high, "ns")


def _flat_or_unknown(slope: Figure) -> tuple[Verdict, str]:
    if slope.high < SMALL_SLOPE_NS:
        return CONTRADICTED, f"Less than {number(SMALL_SLOPE_NS)} ns for each Service."
    return UNDECIDED, "The slope is not known well enough."
