"""Journeys: what recording costs a connection, by mode, and what a whole journey takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.lab import Lab
    from labkit.proxy.plans import Mode

_CONNECTIONS = 40  # one after the other, as a journey's is


@contextmanager
def _traced(mode: Mode) -> Iterator[Contenders]:
    """Yield connections with everything recorded, and as the limit the same ones with nothing recorded."""
    from labkit.lab import Lab

    with Lab.open("web", mode=mode) as lab:
        yield Contenders(lambda: _recorded_us(lab), lambda: _connection_us(lab))


@contextmanager
def _whole(mode: Mode) -> Iterator[Contenders]:
    from labkit.lab import Lab

    with Lab.open("web", mode=mode) as lab:
        yield Contenders(lambda: _journey_ms(lab))


def _recorded_us(lab: Lab) -> float:
    from labkit.lab.journeys import open_recorder

    with open_recorder(lab, "client", "web") as recorder:
        taken_us = _connection_us(lab)
        recorder.observed()  # raises where anything was lost
        return taken_us


def _connection_us(lab: Lab) -> float:
    """Return what one whole connection takes, handshake, question and answer: the median, in microseconds."""
    from labkit.lab.journeys import find_asked
    from labkit.traffic.flows import send_flows
    from labkit.traffic.workload import FlowPlan, Workload

    source = lab.network.plan.clients["client"].address
    plans = [FlowPlan(number, source) for number in range(_CONNECTIONS)]
    workload = Workload(connections=_CONNECTIONS, concurrency=1)
    flows = send_flows(lab.namespace("client"), find_asked(lab, "web").target, workload, plans)
    return median((flow.connect_us or 0.0) + (flow.response_us or 0.0) for flow in flows)


def _journey_ms(lab: Lab) -> float:
    began_ns = time.monotonic_ns()
    with lab.journey("client", service="web"):
        pass
    return (time.monotonic_ns() - began_ns) / 1e6


def _benchmarks(mode: Mode) -> tuple[Benchmark, Benchmark]:
    return (
        Benchmark(
            name=f"traced-{mode}",
            work=f"one connection, everything recorded, {mode}",
            unit="us",
            better="lower",
            contenders=lambda: _traced(mode),
            limit_is="nothing recorded",
            place="guest",
        ),
        Benchmark(
            name=f"journey-{mode}",
            work=f"lab.journey from beginning to end, {mode}",
            unit="ms",
            better="lower",
            contenders=lambda: _whole(mode),
            place="guest",
        ),
    )


BENCHMARKS = (*_benchmarks("iptables"), *_benchmarks("nftables"), *_benchmarks("ipvs"))
