"""Forwarding: what the number of Services costs the first packet of a connection, by mode."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.measure.scaling import ScalingMode

_FLOWS = 400
_MANY = 10_000
_SIZES = (1, 2500, 5000, 7500, 10_000)
_LEAST_UNEXPLAINED = 1e-6  # a row needs a figure above zero


@contextmanager
def _first_packet() -> Iterator[Contenders]:
    """Yield the modes at 10,000 Services, and as the limit IPVS with one: nothing to search.

    The names of a network's namespaces are fixed: one stands at a time, each measurement builds its own.
    """
    yield Contenders(
        lambda: _delay_us("ipvs", _MANY),
        lambda: _delay_us("ipvs", 1),
        {
            "iptables-legacy": lambda: _delay_us("iptables-legacy", _MANY),
            "nftables": lambda: _delay_us("nftables", _MANY),
        },
    )


@contextmanager
def _straight() -> Iterator[Contenders]:
    yield Contenders(lambda: _unexplained("iptables-legacy", _SIZES))


def _delay_us(mode: ScalingMode, services: int) -> float:
    """Return p05 of the first-packet delay through the last Service, in microseconds."""
    from labkit.experiments.programmed import ProgrammedNode

    with ProgrammedNode(mode, services, endpoints=2) as node:
        node.program()
        node.measure("last", _FLOWS // 4, seed=1)
        return node.measure("last", _FLOWS, seed=1).latency_us["forward"]["p05"].value


def _unexplained(mode: ScalingMode, sizes: Sequence[int]) -> float:
    """Return 1 - R squared of the line through the delays at `sizes`."""
    from labkit.measure.slope import fit_line

    line = fit_line([(size, _delay_us(mode, size)) for size in sizes])
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
        rounds=3,
        warm_ups=0,
    ),
    Benchmark(
        name="first-packet-line",
        work="1 - R squared of iptables' first packet over 5 sizes",
        unit="",
        better="lower",
        contenders=_straight,
        targets=(Target("ours", "<=", 0.02),),
        place="guest",
        rounds=3,
        warm_ups=0,
    ),
)
