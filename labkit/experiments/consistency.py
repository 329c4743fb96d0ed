"""Consistency: how many flows change their pod when one of the pods leaves, under each algorithm.

    show_consistency(consistency())

The same flows, from the same addresses and ports, come before a pod leaves, at once after its endpoints were
removed, and when nothing remembers its connections any more; in virtual time, in a fresh guest each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from random import Random
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.experiments.cells import answer_cell, guest_facts, load_1m, measure_cells
from labkit.measure.consistency import (
    ConsistencyPlan,
    ConsistencyResult,
    ConsistencyRow,
    expected_moved_share,
)
from labkit.proxy.plans import MODES
from labkit.spec.clients import ClientPlan
from labkit.spec.schedulers import SCHEDULERS
from labkit.spec.text import Text
from labkit.traffic.fixed import FixedFlow, send_fixed_flows
from labkit.traffic.flow import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.experiments.cells import Progress
    from labkit.fabric.namespace import Namespace

ALGORITHMS = ("iptables", "nftables", "rr", "lc", "sh", "dh", "mh")
HASHING = ("sh", "dh", "mh")
PODS, SERVICES, FLOWS = 5, 64, 512
MOST_FLOWS = 1024
FIRST_CLIENT = IPv4Address("10.244.4.1")
FIRST_SERVICE = IPv4Address("10.96.1.0")
CLIENT, FIRST_PORT, PORT, TARGET_PORT = "clients", 20_000, 80, 8080
FORGET_RESET_S = 15.0  # conntrack and IPVS forget a connection that was reset after 10 s
FORGET_CLOSED_S = 240.0  # a closed one after 120 s; then comes kube-proxy's look, once a minute
_MODULE = "labkit.experiments.consistency"


@dataclass(frozen=True, slots=True)
class ConsistencyCell:
    """One algorithm: what a guest is asked."""

    mode: str
    scheduler: str
    pods: int
    services: int
    flows: int
    seed: int

    def __str__(self) -> str:
        return f"{self.mode} {self.scheduler}".strip()


def consistency(
    algorithms: Sequence[str] = ALGORITHMS,
    *,
    pods: int = PODS,
    services: int = SERVICES,
    flows: int = FLOWS,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> ConsistencyResult:
    """Measure how many of `flows` flows move when one of `pods` pods leaves, for each of `algorithms`.

    Algorithms are modes and IPVS schedulers; `seed` decides the order in which the flows come each time.
    `on_progress(done, total, what)`. An interrupt ends it and leaves nothing. Raises RequestError for a plan
    that cannot be, and the first error where nothing could be measured; other failures are in the result.
    """
    plan = ConsistencyPlan(tuple(dict.fromkeys(algorithms)), pods, services, flows, seed)
    rows, failures = measure_cells(
        plan_cells(plan), _MODULE, ConsistencyRow, clock="virtual", on_progress=on_progress
    )
    return ConsistencyResult(plan, rows, failures)


def plan_cells(plan: ConsistencyPlan) -> tuple[ConsistencyCell, ...]:
    """Return a cell for each algorithm. Raises RequestError, with what may be asked."""
    known = (*MODES, *SCHEDULERS)
    unknown = [one for one in plan.algorithms if one not in known]
    if unknown or not plan.algorithms:
        raise RequestError(
            f"no algorithm is called {unknown[0]!r}" if unknown else "no algorithm is named",
            todo=f"use some of: {', '.join(known)}",
        )
    for name, value, least, most in (
        ("pods", plan.pods, 2, 100),
        ("services", plan.services, 1, 256),
        ("flows", plan.flows, 1, MOST_FLOWS),
    ):
        if not least <= value <= most:
            raise RequestError(f"{name}={value} cannot be", todo=f"give {least} to {most}")
    return tuple(
        ConsistencyCell(
            *(("ipvs", one) if one in SCHEDULERS else (one, "rr" if one == "ipvs" else "")),
            plan.pods,
            plan.services,
            plan.flows,
            plan.seed,
        )
        for one in plan.algorithms
    )


def measure_cell(cell: ConsistencyCell) -> ConsistencyRow:
    """Measure a cell in the guest that this process runs in."""
    from labkit.lab import Lab

    facts = guest_facts("virtual")
    addresses = tuple(str(FIRST_CLIENT + number) for number in range(cell.flows))
    flows = plan_fixed_flows(cell)
    scheduler, random = cell.scheduler or "rr", Random(cell.seed)
    clients = [ClientPlan("client", "node-1"), ClientPlan(CLIENT, "node-1", addresses)]
    with Lab.open(plan_manifest(cell), mode=cell.mode, scheduler=scheduler, clients=clients) as lab:
        namespace = lab.clients[CLIENT]
        leaving = lab.cluster.pods[cell.pods // 2]
        before = _pods_of(namespace, flows, random)
        time.sleep(FORGET_RESET_S)
        others = [FixedFlow(flow.source, flow.port + 1, flow.target) for flow in flows]
        send_fixed_flows(namespace, others, closing="by the pod")  # what IPVS then has to drain
        lab.set_endpoint(leaving.name, "removed")
        meanwhile = _pods_of(namespace, flows, random)
        time.sleep(FORGET_CLOSED_S)
        after = _pods_of(namespace, flows, random)
        algorithm = lab.algorithm
        pods = tuple((pod.key, pod.address) for pod in lab.cluster.pods)
    return ConsistencyRow(
        mode=cell.mode,
        algorithm=algorithm,
        flows=cell.flows,
        on_left=before.count(leaving.key),
        unanswered=meanwhile.count(None),
        moved=count_moved(before, after),
        lost=after.count(None),
        twin_moved=_twin_moved(cell, flows, pods, leaving.key),
        expected_share=expected_moved_share(algorithm, cell.pods),
        guest=facts,
        load_1m=load_1m(),
    )


def plan_fixed_flows(cell: ConsistencyCell) -> tuple[FixedFlow, ...]:
    """Return the flows: each has an address of its own, the Services take turns."""
    return tuple(
        FixedFlow(
            str(FIRST_CLIENT + number),
            FIRST_PORT + 2 * (number % 1000),
            Target(str(FIRST_SERVICE + number % cell.services), PORT),
        )
        for number in range(cell.flows)
    )


def plan_manifest(cell: ConsistencyCell) -> Text:
    """Return a cluster of one node whose Services all have the same pods."""
    node = (
        "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nspec: {podCIDR: 10.244.0.0/20}\n---\n"
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web}\nspec:\n"
        f"  replicas: {cell.pods}\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n"
        "    metadata: {labels: {app: web}}\n    spec:\n      containers:\n"
        f"        - {{name: server, ports: [{{containerPort: {TARGET_PORT}}}]}}\n"
    )
    services = (
        f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: web-{number + 1}}}\nspec:\n"
        f"  clusterIP: {FIRST_SERVICE + number}\n  selector: {{app: web}}\n"
        f"  ports: [{{port: {PORT}, targetPort: {TARGET_PORT}}}]\n"
        for number in range(cell.services)
    )
    return Text("consistency.yaml", node + "".join(services))


def count_moved(before: Sequence[str | None], after: Sequence[str | None]) -> int:
    """Return how many flows that were answered both times were answered by another pod the second time."""
    pairs = zip(before, after, strict=True)
    return sum(None not in {one, other} and one != other for one, other in pairs)


def _pods_of(namespace: Namespace, flows: Sequence[FixedFlow], random: Random) -> list[str | None]:
    """Send the flows in a random order; return in theirs who answered each."""
    order = random.sample(range(len(flows)), len(flows))
    outcomes = send_fixed_flows(namespace, [flows[at] for at in order])
    pods = {at: outcome.pod for at, outcome in zip(order, outcomes, strict=True)}
    return [pods[at] for at in range(len(flows))]


def _twin_moved(
    cell: ConsistencyCell, flows: Sequence[FixedFlow], pods: Sequence[tuple[str, str]], leaving: str
) -> int | None:
    """Return how many flows the twin moves; kube-proxy adds real servers in the order of their addresses."""
    from labkit.algorithms import Connection, RealServer, VirtualServer
    from labkit.algorithms.hashing import MaglevHashing

    if cell.scheduler not in HASHING:
        return None
    scheduler = MaglevHashing(with_port=True) if cell.scheduler == "mh" else cell.scheduler
    virtual = VirtualServer(scheduler, (RealServer(key, address, TARGET_PORT) for key, address in pods))

    def choose_all() -> list[str | None]:
        servers: Iterator[RealServer | None] = (
            virtual.choose(Connection(flow.source, flow.port, flow.target.address)) for flow in flows
        )
        return [None if server is None else server.name for server in servers]

    before = choose_all()
    virtual.remove(leaving)
    return count_moved(before, choose_all())


if __name__ == "__main__":
    answer_cell(ConsistencyCell, measure_cell)
