"""The sentences of a cloud vendor's page that compares kube-proxy's modes, in our words, and their judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.choice_judges import judge_algorithms, judge_better
from labkit.claims.claim import Claim
from labkit.claims.forwarding_judges import (
    judge_hooks,
    judge_search,
    judge_sharing,
    judge_transport,
    judge_trap,
)
from labkit.claims.speed_judges import judge_constant, judge_linear, judge_short, judge_throughput
from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

CLAIMS = (
    Claim(
        1,
        "kube-proxy load-balances and forwards between a Service and its pods.",
        "00, 02",
        ("sharing",),
        judge_sharing,
    ),
    Claim(
        2,
        "IPVS gives higher throughput and faster forwarding, and suits large clusters and many Services.",
        "06",
        ("scaling", "throughput"),
        judge_throughput,
    ),
    Claim(
        3,
        "iptables suits few Services, or many short concurrent connections.",
        "06, 07",
        ("scaling", "short connections"),
        judge_short,
    ),
    Claim(
        4,
        "In IPVS mode an ingress and a Service must not share a load balancer: its address is put on "
        "kube-proxy's "
        "dummy interface, which then intercepts the ingress's traffic from nodes and pods.",
        "10",
        ("trap",),
        judge_trap,
    ),
    Claim(
        5,
        "In iptables mode NAT and load balancing happen in the nat table's PREROUTING hook.",
        "01, 02",
        ("hooks",),
        judge_hooks,
    ),
    Claim(
        6,
        "The cost of iptables mode is O(n) in Services and pods.",
        "06",
        ("scaling", "choice among pods", "hooks"),
        judge_linear,
    ),
    Claim(
        7,
        "IPVS is transport-layer load balancing in the kernel, for TCP and UDP; it shows many servers as "
        "virtual "
        "services on one address.",
        "03",
        ("transport",),
        judge_transport,
    ),
    Claim(
        8,
        "IPVS has an API and a search of its own instead of walking a list of rules.",
        "03, 06",
        ("scaling",),
        judge_search,
    ),
    Claim(
        9,
        "IPVS' connection processing is O(1).",
        "06",
        ("scaling", "choice among pods"),
        judge_constant,
    ),
    Claim(
        10,
        "IPVS has several algorithms (round robin, shortest expected delay, least connection, hashing) where "
        "iptables has only random choice.",
        "04, 05",
        ("schedulers",),
        judge_algorithms,
    ),
    Claim(
        11,
        "IPVS offers better scalability, better algorithms, health checks and connection retries.",
        "06, 04, 08",
        ("scaling", "unequal pods", "dead pod"),
        judge_better,
    ),
)


def find_claims(numbers: Collection[int]) -> tuple[Claim, ...]:
    """Return the claims with these numbers, all where none is given. RequestError for one there is not."""
    known = {claim.number for claim in CLAIMS}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise RequestError(
            f"there is no sentence {unknown[0]}", where="the claim ledger", todo=f"1 to {len(CLAIMS)}"
        )
    return tuple(claim for claim in CLAIMS if not numbers or claim.number in numbers)
