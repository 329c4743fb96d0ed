"""Forwarding: what the number of Services costs the first packet of a connection, by mode."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.measure.scaling import ScalingMode

_FLOWS, _TIMES = 400, 3
_MANY = 10_000
_SIZES = (1, 2500, 5000, 7500, 10_000)
_LEAST_UNEXPLAINED = 1e-6  # a row needs a figure above zero


@contextmanager
def _first_packet() -> Iterator[Contenders]:
    """Yield the modes at 10,000 Services, and as the limit IPVS with one: nothing to search.

    The names of a network's namespaces are fixed: one stands at a time, each measurement builds its own. One
    node for all would be slow: IPVS searches the real servers that were removed for each that is added.
    """
    yield Contenders(
        partial(_delay_us, "ipvs", _MANY),
        partial(_delay_us, "ipvs", 1),
        {
            "iptables-legacy": partial(_delay_us, "iptables-legacy", _MANY),
            "nftables": partial(_delay_us, "nftables", _MANY),
        },
    )


@contextmanager
def _straight() -> Iterator[Contenders]:
    yield Contenders(partial(_unexplained, "iptables-legacy"))


def _delay_us(mode: ScalingMode, services: int) -> float:
    """Return the first-packet delay through the last Service in microseconds: the least of some p05s.

    What else the machine does makes delays longer, never shorter.
    """
    from labkit.experiments.programmed import ProgrammedNode

    with ProgrammedNode(mode, services, endpoints=2) as node:
        node.program()
        node.measure("last", _FLOWS // 4, seed=1)
        runs = [node.measure("last", _FLOWS, seed=1) for _ in range(_TIMES)]
    return min(run.latency_us["forward"]["p05"].value for run in runs)


def _unexplained(mode: ScalingMode) -> float:
    """Return 1 - R squared of the line through the delays at all sizes."""
    from labkit.measure.slope import fit_line

    line = fit_line([(size, _delay_us(mode, size)) for size in _SIZES])
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
