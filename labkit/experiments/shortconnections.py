"""Short connections: what one costs in each mode, what stays of it, and what its port meets again.

    show_short_connections(short_connections())

In real time, one mode after the other, each in a fresh guest. `short_connections_here` measures in this very
Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.experiments.cells import answer_cell, guest_facts, load_1m, measure_cells
from labkit.measure.latency import latency_quantiles
from labkit.measure.shortconnections import (
    Held,
    Reuse,
    ShortConnectionsPlan,
    ShortConnectionsResult,
    ShortConnectionsRow,
)
from labkit.measure.targets import find_service_target
from labkit.proxy.plans import MODES
from labkit.traffic.fixed import FixedFlow, send_fixed_flows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.experiments.cells import Progress
    from labkit.fabric.namespace import Namespace
    from labkit.lab import Lab
    from labkit.measure.records import Quantile, RunResult

LAB = "web"
SHOWN_MODES = ("iptables", "nftables", "ipvs")
CONNECTIONS, REUSED = 2000, 256
STEPS, WARM_UP = 4, 50
FIRST_PORT = 40_000  # above those that measured flows take their turns in
CONNTRACK_COUNT = "net/netfilter/nf_conntrack_count"
CONNTRACK_MAX = "net/netfilter/nf_conntrack_max"
IPVS_CONNECTIONS = Path("/proc/thread-self/net/ip_vs_conn")  # /proc/net is the main thread's
_MODULE = "labkit.experiments.shortconnections"


@dataclass(frozen=True, slots=True)
class ShortConnectionsCell:
    """One mode: what a guest is asked."""

    mode: str
    connections: int
    reused: int
    seed: int

    def __str__(self) -> str:
        return self.mode


def short_connections(
    modes: Sequence[str] = SHOWN_MODES,
    *,
    connections: int = CONNECTIONS,
    reused: int = REUSED,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> ShortConnectionsResult:
    """Measure connections that ask once, one after the other, in each of `modes`.

    Then `reused` flows come twice, from the same address and port. `on_progress(done, total, what)`. An
    interrupt ends it and leaves nothing. Raises RequestError for a plan that cannot be, and the first error
    where nothing could be measured; other failures are in the result.
    """
    plan = ShortConnectionsPlan(tuple(dict.fromkeys(modes)), connections, reused, seed)
    rows, failures = measure_cells(
        plan_cells(plan), _MODULE, ShortConnectionsRow, clock="real", on_progress=on_progress
    )
    return ShortConnectionsResult(plan, rows, failures)


def short_connections_here(
    modes: Sequence[str] = SHOWN_MODES,
    *,
    connections: int = CONNECTIONS,
    reused: int = REUSED,
    seed: int = 1,
) -> ShortConnectionsResult:
    """Measure the same in the lab's Linux that this process runs in: no guest has to start.

    Each mode has a lab of its own, and a lab that is open is closed first. Raises RequestError for a plan
    that cannot be, GuestError outside of a lab's Linux, CapabilityError for a mode that this Linux lacks.
    """
    plan = ShortConnectionsPlan(tuple(dict.fromkeys(modes)), connections, reused, seed)
    return ShortConnectionsResult(plan, tuple(measure_cell(cell) for cell in plan_cells(plan)))


def plan_cells(plan: ShortConnectionsPlan) -> tuple[ShortConnectionsCell, ...]:
    """Return a cell for each mode. Raises RequestError, with what may be asked."""
    unknown = [mode for mode in plan.modes if mode not in MODES]
    if unknown or not plan.modes:
        raise RequestError(
            f"there is no mode {unknown[0]!r}" if unknown else "no mode is named",
            todo=f"use some of: {', '.join(SHOWN_MODES)}",
        )
    for name, value, least, most in (
        ("connections", plan.connections, 20, 20_000),
        ("reused", plan.reused, 1, 10_000),
    ):
        if not least <= value <= most:
            raise RequestError(f"{name}={value} cannot be", todo=f"give {least} to {most}")
    return tuple(ShortConnectionsCell(mode, plan.connections, plan.reused, plan.seed) for mode in plan.modes)


def measure_cell(cell: ShortConnectionsCell) -> ShortConnectionsRow:
    """Measure a cell in the guest that this process runs in."""
    from labkit.lab import Lab

    facts = guest_facts("real")
    with Lab.open(LAB, mode=cell.mode) as lab:
        node = lab.nodes[lab.cluster.nodes[0].name]
        lab.measure(connections=WARM_UP, concurrency=1, seed=cell.seed)
        held, runs = [_read_held(node, 0)], []
        for step in range(STEPS):
            share = cell.connections * (step + 1) // STEPS - cell.connections * step // STEPS
            runs.append(lab.measure(connections=share, concurrency=1, seed=cell.seed + step))
            held.append(_read_held(node, held[-1].connections + share))
        reuse = _measure_reuse(lab, cell.reused, Random(cell.seed))
        return ShortConnectionsRow(
            mode=cell.mode,
            algorithm=lab.algorithm,
            pods=len(lab.cluster.pods),
            latency_us=_latencies(runs),
            errors=sum(run.connections - run.answered for run in runs),
            held=tuple(held),
            conntrack_max=int(node.read_sysctl(CONNTRACK_MAX)),
            reuse=reuse,
            guest=facts,
            load_1m=load_1m(),
        )


def _latencies(runs: Sequence[RunResult]) -> dict[str, dict[str, Quantile]]:
    flows = [flow for run in runs for flow in run.flows]
    samples = {
        "connect": [flow.connect_us for flow in flows if flow.connect_us is not None],
        "response": [flow.response_us for flow in flows if flow.response_us is not None],
        "forward": [flow.forward_us for flow in flows if flow.forward_us is not None],
    }
    return {name: latency_quantiles(times) for name, times in samples.items() if times}


def _read_held(node: Namespace, connections: int) -> Held:
    """Return what a node remembers now."""
    return Held(connections, int(node.read_sysctl(CONNTRACK_COUNT)), node.run(_count_ipvs_connections))


def _count_ipvs_connections() -> int:
    try:
        with IPVS_CONNECTIONS.open(encoding="ascii") as file:
            return max(0, sum(1 for _ in file) - 1)  # the first line has the columns' names
    except FileNotFoundError:  # IPVS has not been loaded
        return 0


def _measure_reuse(lab: Lab, count: int, random: Random) -> Reuse:
    """Send `count` flows that their pods close, then the very same once more, at once, in a random order.

    In the same order, who chooses in turn might come upon the same pods again.
    """
    target = find_service_target(lab.cluster, "").target
    addresses = lab.network.plan.clients["client"].addresses
    flows = [
        FixedFlow(addresses[number % len(addresses)], FIRST_PORT + number // len(addresses), target)
        for number in range(count)
    ]
    client = lab.clients["client"]
    first = send_fixed_flows(client, flows, closing="by the pod")
    order = random.sample(range(count), count)
    again = send_fixed_flows(client, [flows[at] for at in order], closing="by the pod")
    pairs = [(first[at], two) for at, two in zip(order, again, strict=True) if two.pod is not None]
    return Reuse(
        flows=count,
        answered=len(pairs),
        same_pod=sum(one.pod == two.pod for one, two in pairs),
        first_us=latency_quantiles(one.took_us for one in first),
        again_us=latency_quantiles(one.took_us for one in again),
    )


if __name__ == "__main__":
    answer_cell(ShortConnectionsCell, measure_cell)
