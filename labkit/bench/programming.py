"""Programming: a node from nothing, beside input that was made before and others' ways to write it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.bench.stopwatch import wall_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from labkit.bench.benchmark import Measure
    from labkit.proxy.ipvs import IpvsPlan
    from labkit.spec.model import ClusterSpec

_MANY, _ENDPOINTS = 10_000, 2
_IPVSADM, _IP, _PREBUILT = "ipvsadm -R", "ip -batch", "those bytes packed before"


@contextmanager
def _virtual_servers() -> Iterator[Contenders]:
    from labkit.bench import programpeers as peers
    from labkit.bench.dismantling import dismantled_between
    from labkit.proxy.ipvs_changes import plan_changes
    from labkit.spec.many import plan_many_services

    plan = _ipvs_plan(plan_many_services(_MANY, _ENDPOINTS))
    changes = plan_changes(plan.virtual_servers, ())
    text = peers.ipvsadm_text(plan.virtual_servers)
    with dismantled_between() as wait:
        yield _cleanly(
            wait,
            partial(_program_servers, plan),
            partial(peers.encode_and_send_changes, changes),
            {
                _IPVSADM: partial(peers.restore_with_ipvsadm, text),
                _PREBUILT: partial(peers.send_changes, changes),
            },
        )


def _program_servers(plan: IpvsPlan) -> float:
    from labkit.bench.programpeers import empty_node
    from labkit.proxy.ipvs_netlink import IpvsSocket
    from labkit.proxy.program_ipvs import HeldServers, make_changes

    with empty_node() as node, node.run(IpvsSocket) as ipvs:
        return wall_s(
            lambda: make_changes(ipvs, HeldServers(ipvs.read(), {}).drained(plan).changes, node.name)
        )


@contextmanager
def _addresses() -> Iterator[Contenders]:
    from labkit.bench import programpeers as peers
    from labkit.bench.dismantling import dismantled_between
    from labkit.spec.many import plan_many_services

    addresses = _ipvs_plan(plan_many_services(_MANY, _ENDPOINTS)).addresses
    with dismantled_between() as wait:
        yield _cleanly(
            wait,
            partial(peers.bind_ours, addresses),
            partial(peers.bind_packed, addresses),
            {_IP: partial(peers.bind_with_ip, addresses)},
        )


def _ipvs_plan(cluster: ClusterSpec) -> IpvsPlan:
    from labkit.proxy.ipvs import plan_ipvs
    from labkit.proxy.plans import lab_config

    return plan_ipvs(cluster, cluster.nodes[0], lab_config(cluster))


@contextmanager
def _iptables_rules() -> Iterator[Contenders]:
    from labkit.bench.dismantling import dismantled_between
    from labkit.bench.programpeers import restore_file
    from labkit.proxy.iptables import plan_iptables
    from labkit.proxy.merge import merge_text
    from labkit.proxy.plans import lab_config
    from labkit.spec.many import plan_many_services

    cluster = plan_many_services(_MANY, _ENDPOINTS)
    plan = plan_iptables(cluster, cluster.nodes[0], lab_config(cluster))
    with dismantled_between() as wait, tempfile.TemporaryDirectory(dir="/run") as folder:
        path = Path(folder) / "rules"
        path.write_text(merge_text(plan.tables, plan.jumps, {}, ("mangle", "nat", "filter")))
        yield _cleanly(
            wait,
            partial(_program_iptables, cluster),
            partial(restore_file, "iptables-legacy-restore", path),
            {},
        )


def _program_iptables(cluster: ClusterSpec) -> float:
    from labkit.bench.programpeers import empty_node
    from labkit.proxy.plans import lab_config
    from labkit.proxy.program_restore import Backend
    from labkit.proxy.sync import Proxier

    with empty_node() as node:
        name, config = cluster.nodes[0].name, lab_config(cluster)
        return Proxier(node, name, "iptables", config, Backend("legacy")).sync(cluster).seconds


def _cleanly(
    wait: Callable[[], None], ours: Measure, limit: Measure, peers: Mapping[str, Measure]
) -> Contenders:
    """Return contenders after each of whose turns nothing is left to be taken apart."""
    from labkit.bench.dismantling import then

    return Contenders(
        then(wait, ours), then(wait, limit), {name: then(wait, peer) for name, peer in peers.items()}
    )


BENCHMARKS = (
    Benchmark(
        name="ipvs-10000",
        work=f"{_MANY:,} virtual servers, {_ENDPOINTS} real servers each, from nothing, without addresses",
        unit="s",
        better="lower",
        contenders=_virtual_servers,
        limit_is="their messages packed, and then sent",
        targets=(Target("ahead_of", ">=", 20.0, _IPVSADM), Target("of_limit", "<=", 1.5)),
        place="guest",
        rounds=9,
        peer_rounds=2,
    ),
    Benchmark(
        name="addresses-10000",
        work=f"{_MANY:,} addresses on kube-ipvs0, from nothing",
        unit="s",
        better="lower",
        contenders=_addresses,
        limit_is="the same messages packed before",
        place="guest",
        peer_rounds=3,
    ),
    Benchmark(
        name="iptables-10000",
        work=f"iptables-legacy, {_MANY:,} Services with {_ENDPOINTS} endpoints each: plan and load",
        unit="s",
        better="lower",
        contenders=_iptables_rules,
        limit_is="iptables-legacy-restore of a file made before",
        targets=(Target("of_limit", "<=", 1.3),),
        place="guest",
        rounds=7,
    ),
)
