"""Building: a lab's whole network, beside its own messages sent raw and others' ways to build one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.bench.stopwatch import wall_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from labkit.bench.benchmark import Measure, Place
    from labkit.spec.addressplan import AddressPlan

_IP, _PYROUTE2, _MININET = "ip -batch", "pyroute2's NetNS objects", "Mininet 2.3, one Linux bridge"


def _20_pods() -> AbstractContextManager[Contenders]:
    return _topology(20, (_IP, _PYROUTE2, _MININET))


def _100_pods() -> AbstractContextManager[Contenders]:
    return _topology(100, (_IP, _PYROUTE2, _MININET))


# pyroute2's objects fork a process that has threads, and on a machine with several processors wait for ever.
def _20_pods_on_host() -> AbstractContextManager[Contenders]:
    return _topology(20, (_IP, _MININET))


def _100_pods_on_host() -> AbstractContextManager[Contenders]:
    return _topology(100, (_IP, _MININET))


@contextmanager
def _topology(pods: int, chosen: tuple[str, ...]) -> Iterator[Contenders]:
    from labkit.bench.buildpeers import build_with_ip, build_with_mininet, build_with_pyroute2
    from labkit.bench.dismantling import dismantled_between, then
    from labkit.bench.networks import pods_network
    from labkit.bench.rawbuild import RawBuild
    from labkit.fabric.namespace import Namespace

    plan = pods_network(pods)
    raw = RawBuild(plan)
    with dismantled_between() as wait, Namespace.create("bench-mininet") as apart:
        peers: dict[str, Measure] = {
            _IP: lambda: build_with_ip(plan),
            _PYROUTE2: lambda: build_with_pyroute2(plan),
            _MININET: lambda: build_with_mininet(pods, apart),
        }
        yield Contenders(
            then(wait, lambda: _build(plan)),
            then(wait, raw.build_s),
            {name: then(wait, peers[name]) for name in chosen},
        )


def _build(plan: AddressPlan) -> float:
    from labkit.fabric.build import Network, build_network

    networks: list[Network] = []
    try:
        return wall_s(lambda: networks.append(build_network(plan)))
    finally:
        for network in networks:
            network.close()


def _row(pods: int, place: Place, targets: tuple[Target, ...]) -> Benchmark:
    on_host = place == "host"
    return Benchmark(
        name=f"topology-{pods}{'-host' if on_host else ''}",
        work=f"a lab's network with {pods} pods{_ON_HOST if on_host else ''}",
        unit="s",
        better="lower",
        contenders=_CONTENDERS[pods, place],
        limit_is="the same messages packed before, one send each",
        targets=targets,
        place=place,
        rounds=7,
        peer_rounds=2,
        on_request=on_host,
    )


_ON_HOST = ", in this machine's own kernel (root)"
_CONTENDERS = {
    (20, "guest"): _20_pods,
    (100, "guest"): _100_pods,
    (20, "host"): _20_pods_on_host,
    (100, "host"): _100_pods_on_host,
}
_HOST = (Target("ahead_of", ">=", 2.0, _IP), Target("ahead_of", ">=", 10.0, _MININET))
BENCHMARKS = (
    _row(
        20,
        "guest",
        (
            Target("of_limit", "<=", 2.0),
            Target("ahead_of", ">=", 10.0, _IP),
            Target("ahead_of", ">=", 80.0, _MININET),
        ),
    ),
    _row(100, "guest", (Target("of_limit", "<=", 2.0), Target("ours", "<=", 1.0))),
    _row(20, "host", _HOST),
    _row(100, "host", _HOST),
)
