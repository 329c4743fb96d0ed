"""Measuring: what the taps cost the connections that they measure."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.lab import Lab

_CONNECTIONS = 100


@contextmanager
def _taps() -> Iterator[Contenders]:
    from labkit.lab import Lab

    with Lab.open("web", mode="ipvs") as lab:
        yield Contenders(
            partial(_connect_us, lab, with_taps=True), partial(_connect_us, lab, with_taps=False)
        )


def _connect_us(lab: Lab, *, with_taps: bool) -> float:
    from labkit.measure.experiment import Programmed, measure_service
    from labkit.measure.targets import find_service_target
    from labkit.traffic.workload import Workload

    result = measure_service(
        lab.network,
        lab.backends,
        find_service_target(lab.cluster, "web"),
        Workload(connections=_CONNECTIONS, concurrency=1),
        seed=1,
        programmed=Programmed(lab.mode, lab.algorithm),
        with_taps=with_taps,
    )
    return median(flow.connect_us for flow in result.flows if flow.connect_us is not None)


BENCHMARKS = (
    Benchmark(
        name="taps",
        work=f"connect p50 of {_CONNECTIONS} connections, taps on",
        unit="us",
        better="lower",
        contenders=_taps,
        limit_is="the same with taps off",
        targets=(Target("of_limit", "<=", 1.05),),
        place="guest",
        rounds=100,
    ),
)
