"""What is timed for the ledger: first packets, changes, short connections, one connection's rate."""

from __future__ import annotations

import socket
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, cast

from labkit.claims.figures import Figure, change_time, exact, first_packet, rule_count
from labkit.experiments.programmed import ProgrammedNode
from labkit.experiments.shortconnections import ShortConnectionsCell
from labkit.experiments.shortconnections import measure_cell as measure_short_cell
from labkit.lab import Lab
from labkit.measure.targets import find_service_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.claims.plan import Measurement
    from labkit.measure.records import Quantile
    from labkit.measure.scaling import PlaceName, ScalingMode

ROUNDS, FLOWS, WARM_UP_FLOWS, ENDPOINTS = 5, 400, 50, 2
SHORT_ROUNDS, SHORT_CONNECTIONS, AT_ONCE = 30, 150, 32
RATE_ROUNDS = 15
HELD_CONNECTIONS, REUSED = 500, 16
RATE_MB, PIECE = 32, 1 << 16
PLACES: tuple[PlaceName, ...] = ("first", "last")


def least(name: str, runs: Sequence[Quantile]) -> Figure:
    """Return the delay of the quietest run: what else the machine does only makes delays longer."""
    quietest = min(runs, key=lambda one: one.value)
    return Figure(name, quietest.value, quietest.low, quietest.high, "µs")


def measure_scaling(asked: Measurement) -> Iterator[Figure]:
    """Measure a mode with so many Services: first packets, one endpoint's change, the number of rules."""
    mode, services = cast("ScalingMode", asked.mode), asked.services
    with ProgrammedNode(mode, services, ENDPOINTS) as node:
        times = node.program()
        node.measure("last", WARM_UP_FLOWS, seed=1)
        for place in PLACES:
            runs = [node.measure(place, FLOWS, seed) for seed in range(ROUNDS)]
            delays = [run.latency_us["forward"]["p05"] for run in runs]
            yield least(first_packet(mode, services, place), delays)
        yield exact(change_time(mode, services), round(times.remove_s * 1000, 3), "ms")
        saved = node.namespace.command(["iptables-legacy-save"]).stdout.splitlines()
        yield exact(rule_count(mode, services), sum(line.startswith("-A") for line in saved))


def measure_short_connections() -> Iterator[Figure]:
    """Measure many short connections at once, in both modes in turn, and what they leave behind."""
    modes = ("iptables", "ipvs")
    took: dict[str, list[Quantile]] = {mode: [] for mode in modes}
    with Lab.open("web") as lab:
        for seed in range(SHORT_ROUNDS):
            for mode in modes:
                lab.switch(mode)
                run = lab.measure(connections=SHORT_CONNECTIONS, concurrency=AT_ONCE, seed=seed)
                took[mode].append(run.latency_us["connect"]["p50"])
    for mode in modes:
        yield least(f"short connections, {mode}: connect time", took[mode])
    for mode in modes:
        row = measure_short_cell(ShortConnectionsCell(mode, HELD_CONNECTIONS, REUSED, seed=1))
        conntrack, ipvs = row.entries_each()
        yield exact(f"entries that a connection leaves, {mode}", round(conntrack + ipvs, 2))


def measure_throughput() -> Iterator[Figure]:
    """Send data through one connection, in both modes in turn."""
    rates: dict[str, list[float]] = {"iptables": [], "ipvs": []}
    with Lab.open("web") as lab:
        for pod in ("web-2", "web-3", "web-4"):
            lab.set_endpoint(pod, "removed")
        lab.kill("web-1")  # its port is ours
        for _ in range(RATE_ROUNDS):
            for mode, measured in rates.items():
                lab.switch(mode)
                measured.append(_rate_mb_s(lab))
    for mode, measured in rates.items():
        yield _middle(f"one connection's rate, {mode}", measured, "MB/s")
    pairs = zip(rates["ipvs"], rates["iptables"], strict=True)
    yield _middle("one connection's rate of IPVS / iptables", [one / two for one, two in pairs], "times")


def _rate_mb_s(lab: Lab) -> float:
    """Return how fast RATE_MB pass from the client through the Service to a sink in `web-1`."""
    target = find_service_target(lab.cluster, "web").target
    sink = lab.pods["web-1"].run(lambda: socket.create_server(("", 8080), reuse_port=False))
    with sink:
        opened = lab.clients["client"].run(
            lambda: socket.create_connection((target.address, target.port), timeout=5.0)
        )
        accepted, _ = sink.accept()
        with opened, accepted:
            sender = threading.Thread(target=_send, args=(opened,), daemon=True)
            begun_s = time.monotonic()
            sender.start()
            _drain(accepted)
            took_s = time.monotonic() - begun_s
            sender.join()
    return RATE_MB / took_s


def _send(opened: socket.socket) -> None:
    piece = bytes(PIECE)
    for _ in range(RATE_MB * 1_000_000 // PIECE):
        opened.sendall(piece)
    opened.shutdown(socket.SHUT_WR)


def _drain(accepted: socket.socket) -> None:
    into = bytearray(PIECE)
    while accepted.recv_into(into):
        pass


def _middle(name: str, values: Sequence[float], unit: str) -> Figure:
    """Return the median of RATE_ROUNDS values with its interval, the fourth and the last but three.

    The median of all that could be measured lies between them with probability 96 %: of fifteen values at
    most three are below it, or above it, with probability 2 x 576 / 2^15 (binomial).
    """
    ordered = sorted(values)
    return Figure(name, median(ordered), ordered[3], ordered[-4], unit)
