"""What is measured of the choice of a pod: schedulers, their shares, and what choosing costs."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from labkit.claims.figures import Figure, exact
from labkit.claims.plan import CONNECTIONS, FEW_PODS, HELD, MANY_PODS, MANY_SERVERS, TRIED
from labkit.claims.timing import FLOWS, ROUNDS, least
from labkit.experiments.programmed import ProgrammedNode
from labkit.lab import Lab
from labkit.measure.targets import find_service_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.fabric.namespace import Namespace
    from labkit.measure.records import Quantile

RULE_FLOWS = 400
STRANGE = "10.200.0.0/16"  # addresses of the many real servers, all of them one pod's


def measure_schedulers() -> Iterator[Figure]:
    """Count the answers under schedulers, the weights, and whether two nodes count together."""
    with Lab.open("web", mode="ipvs") as lab:
        yield exact("schedulers that this Linux offers", len(lab.schedulers))
        for scheduler in TRIED:
            lab.switch("ipvs", scheduler)
            run = lab.measure(connections=CONNECTIONS, concurrency=1)
            yield exact(f"IPVS {scheduler}: of {CONNECTIONS} answered", run.answered)
            spread = max(run.answers.values()) - min(run.answers.values())
            yield exact(f"IPVS {scheduler}: most minus fewest answers of a pod", spread)
        saved = lab.nodes["node-1"].command(["ipvsadm", "-S", "-n"]).stdout
        weights = [
            line.split()[line.split().index("-w") + 1] for line in saved.splitlines() if " -w " in line
        ]
        yield exact("real servers", len(weights))
        yield exact("real servers with another weight than 1", sum(weight != "1" for weight in weights))
        lab.reset("ipvs", "lc")
        with _held(lab):
            for name, node in lab.nodes.items():
                yield exact(f"of {HELD} connections through node-1, counted by {name}", _active(node))
        lab.reset("iptables")
        rules = lab.nodes["node-1"].command(["iptables-legacy-save", "-t", "nat"]).stdout.splitlines()
        choosing = [rule for rule in rules if "--mode" in rule]
        yield exact("iptables rules that choose", len(choosing))
        yield exact("iptables rules that choose at random", sum("--mode random" in one for one in choosing))


def measure_choice() -> Iterator[Figure]:
    """Measure what the choice among pods costs: rules compared in iptables mode, delay in IPVS mode."""
    for pods in (FEW_PODS, MANY_PODS):
        with ProgrammedNode("iptables-legacy", 1, pods) as node:
            node.program()
            node.measure("last", RULE_FLOWS, seed=1)
            yield exact(f"iptables, {pods} pods: rules compared to choose one", _compared(node.namespace))
    for scheduler in ("rr", "lc"):
        with Lab.open("web", mode="ipvs", scheduler=scheduler) as lab:
            yield least(f"IPVS {scheduler}, 4 real servers: first packet", _first_packets(lab))
            _add_servers(lab)
            many = f"IPVS {scheduler}, {MANY_SERVERS + 4:,} real servers: first packet"
            yield least(many, _first_packets(lab))


def _first_packets(lab: Lab) -> list[Quantile]:
    runs = [lab.measure(connections=FLOWS, concurrency=1, seed=seed) for seed in range(ROUNDS)]
    return [run.latency_us["forward"]["p05"] for run in runs]


def _add_servers(lab: Lab) -> None:
    """Give the Service of the lab `web` many more real servers on node-1: addresses of its first pod's."""
    target = find_service_target(lab.cluster, "web").target
    node, pod = lab.nodes["node-1"], lab.cluster.pods[0]
    lab.pods["web-1"].command(["ip", "route", "add", "local", STRANGE, "dev", "lo"])
    node.command(["ip", "route", "add", STRANGE, "via", pod.address])
    first = STRANGE.removesuffix(".0.0/16")
    servers = [f"{first}.{number // 250}.{number % 250 + 1}:8080" for number in range(MANY_SERVERS)]
    lines = "".join(f"-a -t {target} -r {server} -m -w 1\n" for server in servers)
    node.command(["ipvsadm", "-R"], stdin=lines)


def _compared(node: Namespace) -> float:
    """Return how many of a Service's choosing rules a connection is compared with, on average.

    A connection that the n-th rule took was compared with n rules.
    """
    listed = node.command(["iptables-legacy", "-t", "nat", "-nvxL"]).stdout
    service = next(part for part in listed.split("\n\n") if part.startswith("Chain KUBE-SVC-"))
    taken = [int(line.split()[0]) for line in service.splitlines() if "KUBE-SEP-" in line]
    return sum(count * number for number, count in enumerate(taken, 1)) / sum(taken)


def _active(node: Namespace) -> int:
    """Return the open connections that a node's IPVS counts, over all its real servers."""
    lines = node.command(["ipvsadm", "-L", "-n"]).stdout.splitlines()
    return sum(int(line.split()[-2]) for line in lines if line.lstrip().startswith("-> ") and "Masq" in line)


@contextlib.contextmanager
def _held(lab: Lab) -> Iterator[None]:
    """Keep connections of the client on node-1 open to the lab's Service, while the block runs."""
    target = find_service_target(lab.cluster, "web").target
    with contextlib.ExitStack() as stack:

        def connect() -> None:
            for _ in range(HELD):
                opened = stack.enter_context(socket.create_connection((target.address, target.port), 2.0))
                opened.settimeout(None)

        lab.clients["client"].run(connect)
        yield
