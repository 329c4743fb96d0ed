"""Changing: one endpoint goes or comes, in a cluster of 10,000 Services beside one of a single Service."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.proxy.plans import Mode
    from labkit.proxy.sync import Proxier
    from labkit.spec.model import ClusterSpec

_MANY, _ENDPOINTS = 10_000, 2


@contextmanager
def _ipvs() -> Iterator[Contenders]:
    with _changed("ipvs", 100) as contenders:
        yield contenders


@contextmanager
def _nftables() -> Iterator[Contenders]:
    with _changed("nftables", 6) as contenders:
        yield contenders


@contextmanager
def _iptables() -> Iterator[Contenders]:
    with _changed("iptables", 2) as contenders:
        yield contenders


@contextmanager
def _changed(mode: Mode, times: int) -> Iterator[Contenders]:
    with _programmed("bench-many", mode, _MANY) as many, _programmed("bench-one", mode, 1) as one:
        yield Contenders(partial(_change_ms, *many, times), partial(_change_ms, *one, times))


@contextmanager
def _programmed(name: str, mode: Mode, services: int) -> Iterator[tuple[Proxier, ClusterSpec]]:
    from labkit.fabric import links
    from labkit.fabric.namespace import Namespace
    from labkit.fabric.netlink import RouteSocket
    from labkit.proxy.plans import lab_config
    from labkit.proxy.program_restore import Backend
    from labkit.proxy.sync import Proxier
    from labkit.spec.many import plan_many_services

    cluster = plan_many_services(services, _ENDPOINTS)
    with Namespace.create(name) as node:
        with node.run(lambda: RouteSocket(name)) as route:
            route.send([links.set_up("lo", links.LOOPBACK_INDEX)])
        proxier = Proxier(node, cluster.nodes[0].name, mode, lab_config(cluster), Backend("legacy"))
        proxier.sync(cluster)
        yield proxier, cluster


def _change_ms(proxier: Proxier, cluster: ClusterSpec, times: int) -> float:
    """Take an endpoint from the last Service and give it back, in turn; return the median in milliseconds.

    Raises GuestError for a change for which everything was written.
    """
    from labkit.proxy.tracking import ClusterChanges

    whole, key = cluster.slices[-1], cluster.services[-1].key
    fewer = replace(whole, endpoints=whole.endpoints[1:])
    reports = [
        proxier.update(ClusterChanges(slices={key: (whole if number % 2 else fewer,)}))
        for number in range(times)
    ]
    for report in reports:
        if report.scope != "partial" or not report.changes:
            raise GuestError(f"one endpoint was to change, and the sync was: {report}")
    return median(report.seconds for report in reports) * 1000


_WORK = f"one endpoint of the last of {_MANY:,} Services goes or comes"
_LIMIT = "the same with one Service"
BENCHMARKS = (
    Benchmark(
        name="change-ipvs",
        work=f"{_WORK}, IPVS",
        unit="ms",
        better="lower",
        contenders=_ipvs,
        limit_is=_LIMIT,
        targets=(Target("ours", "<=", 0.5), Target("of_limit", "<=", 2.0)),
        place="guest",
        rounds=15,
    ),
    Benchmark(
        name="change-nftables",
        work=f"{_WORK}, nftables",
        unit="ms",
        better="lower",
        contenders=_nftables,
        limit_is=_LIMIT,
        targets=(Target("of_limit", "<=", 2.0),),
        place="guest",
        memory_mb=1024,
    ),
    Benchmark(
        name="change-iptables",
        work=f"{_WORK}, iptables-legacy",
        unit="ms",
        better="lower",
        contenders=_iptables,
        limit_is=_LIMIT,
        place="guest",
    ),
)
