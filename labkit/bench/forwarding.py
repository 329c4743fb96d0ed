"""Forwarding: what the number of Services costs the first packet of a connection, by mode."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.experiments.programmed import ProgrammedNode
    from labkit.measure.scaling import ScalingMode

_FLOWS, _TIMES = 400, 3
_MANY = 10_000
_SIZES = (1, 2500, 5000, 7500, 10_000)
_LEAST_UNEXPLAINED = 1e-6  # a row needs a figure above zero


@contextmanager
def _first_packet() -> Iterator[Contenders]:
    """Yield the modes at 10,000 Services, and as the limit IPVS with one: nothing to search.

    All are measured on one node, which is programmed for each in its turn: network, pods and client are the
    same, and so is what the machine does meanwhile.
    """
    with _node() as node:
        yield Contenders(
            partial(_delay_us, node, "ipvs", _MANY),
            partial(_delay_us, node, "ipvs", 1),
            {
                "iptables-legacy": partial(_delay_us, node, "iptables-legacy", _MANY),
                "nftables": partial(_delay_us, node, "nftables", _MANY),
            },
        )


@contextmanager
def _straight() -> Iterator[Contenders]:
    with _node() as node:
        yield Contenders(partial(_unexplained, node, "iptables-legacy"))


@contextmanager
def _node() -> Iterator[ProgrammedNode]:
    from labkit.experiments.programmed import ProgrammedNode

    with ProgrammedNode("iptables-legacy", 1, endpoints=2) as node:
        yield node


def _delay_us(node: ProgrammedNode, mode: ScalingMode, services: int) -> float:
    """Return p05 of the first-packet delay through the last Service, in microseconds."""
    node.become(mode, services)
    return _last_us(node)


def _last_us(node: ProgrammedNode) -> float:
    """Return the least of some p05s: what else the machine does makes delays longer, never shorter."""
    node.measure("last", _FLOWS // 4, seed=1)
    return min(node.measure("last", _FLOWS, seed=1).latency_us["forward"]["p05"].value for _ in range(_TIMES))


def _unexplained(node: ProgrammedNode, mode: ScalingMode) -> float:
    """Return 1 - R squared of the line through the delays at all sizes."""
    from labkit.measure.slope import fit_line

    line = fit_line([(size, _delay_us(node, mode, size)) for size in _SIZES])
    return max(1 - line.r_squared, _LEAST_UNEXPLAINED)


BENCHMARKS = (
    Benchmark(
        name="first-packet",
        work="first packet, last of 10,000 Services, p05, IPVS",
        unit="us",
        better="lower",
        contenders=_first_packet,
        limit_is="IPVS with one Service",
        targets=(
            Target("of_limit", "<=", 1.3),
            Target("ahead_of", ">=", 5.0, "iptables-legacy"),
        ),
        place="guest",
        rounds=5,
        warm_ups=0,
        peer_rounds=2,
        memory_mb=1024,  # for nft, which holds 42 kB for each Service while it reads them
    ),
    Benchmark(
        name="first-packet-line",
        work="1 - R squared of iptables' first packet over 5 sizes",
        unit="",
        better="lower",
        contenders=_straight,
        targets=(Target("ours", "<=", 0.02),),
        place="guest",
        rounds=2,
        warm_ups=0,
    ),
)
