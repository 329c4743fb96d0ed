"""Sending: frames through a Service beside Scapy's own ways, with every arrival counted; what taps cost."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.lab import Lab

_FLOWS, _FEW = 20_000, 1_000
_CONNECTIONS = 300


@contextmanager
def _frames(mode: str, scheduler: str) -> Iterator[Contenders]:
    from labkit.lab import Lab

    with Lab.open("web", mode=mode, scheduler=scheduler) as lab:

        def ours() -> float:
            lab.reset()  # conntrack is empty again for everybody
            result = lab.blast("web", flows=_FLOWS)
            if result.lost:
                raise GuestError(f"{result.lost} frames were lost")
            return result.frames_per_s

        yield Contenders(
            ours,
            partial(_count, lab, _send_constant, _FLOWS),
            {
                "sendp of a prebuilt list": partial(_count, lab, _sendp, _FEW),
                "L2socket.send(Raw)": partial(_count, lab, _send_raw, _FLOWS),
                "L2socket.outs.send": partial(_count, lab, _send_outs, _FLOWS),
            },
        )


@contextmanager
def _iptables() -> Iterator[Contenders]:
    with _frames("iptables", "rr") as contenders:
        yield contenders


@contextmanager
def _ipvs() -> Iterator[Contenders]:
    with _frames("ipvs", "rr") as contenders:
        yield contenders


@contextmanager
def _nftables() -> Iterator[Contenders]:
    with _frames("nftables", "rr") as contenders:
        yield contenders


def _count(lab: Lab, prepare: Callable[[str, list[bytes]], Callable[[], object]], flows: int) -> float:
    """Return the frames per second that `prepare`'s function gets through the Service: all of them arrive."""
    from labkit.measure.blasting import arrival_points, plan_first_hop
    from labkit.measure.targets import find_service_target
    from labkit.traffic.blast import Arrivals, silent_pods
    from labkit.traffic.blastframes import craft_frame

    lab.reset()
    service, plan = find_service_target(lab.cluster, "web"), lab.network.plan
    link, sources = plan_first_hop(plan, "client", service.target.address), plan.clients["client"].addresses
    frames = _patched(craft_frame(link, service.target, 1), sources[0], flows)
    pods = tuple(arrival_points(lab.network, service.pods))
    with silent_pods(pods, sources), Arrivals(service.target, pods, 1) as arrivals:
        send = lab.network.client("client").run(partial(prepare, link.interface, frames))
        begun = time.monotonic()
        send()
        ended = arrivals.settle(flows)
    if sum(arrivals.delivered.values()) != flows:
        raise GuestError(f"{flows - sum(arrivals.delivered.values())} frames were lost")
    return flows / (ended - begun)


def _patched(frame: bytes, source: str, flows: int) -> list[bytes]:
    from labkit.traffic.blastframes import FIRST_PORT, FrameBatch, Run

    batch = FrameBatch(frame, flows)
    batch.aim(Run(source, FIRST_PORT, flows))
    size = batch.frame_bytes
    return [bytes(batch.buffer[start : start + size]) for start in range(0, len(batch.buffer), size)]


def _sendp(interface: str, frames: list[bytes]) -> Callable[[], object]:
    from scapy.layers.l2 import Ether
    from scapy.sendrecv import sendp

    packets = [Ether(frame) for frame in frames]
    line = _l2socket(interface)
    return lambda: sendp(packets, socket=line, verbose=0)


def _send_raw(interface: str, frames: list[bytes]) -> Callable[[], object]:
    from scapy.packet import Raw

    line, packets = _l2socket(interface), [Raw(frame) for frame in frames]
    return lambda: [line.send(packet) for packet in packets]


def _send_outs(interface: str, frames: list[bytes]) -> Callable[[], object]:
    line = _l2socket(interface)
    return lambda: [line.outs.send(frame) for frame in frames]


def _l2socket(interface: str) -> Any:
    from scapy.config import conf

    conf.ifaces.reload()
    return conf.L2socket(iface=interface)


def _send_constant(interface: str, frames: list[bytes]) -> Callable[[], object]:
    from labkit.traffic.blastframes import FrameBatch
    from labkit.traffic.blastsending import FRAMES_PER_CALL, ManySender

    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    line.bind((interface, 0))
    sender, flows = ManySender(line, FrameBatch(frames[0], FRAMES_PER_CALL)), len(frames)
    return lambda: [sender.send(min(FRAMES_PER_CALL, flows - n)) for n in range(0, flows, FRAMES_PER_CALL)]


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
    *(
        Benchmark(
            name=f"frames-{mode}",
            work=f"{_FLOWS:,} SYNs of new flows through a Service, {mode} mode, each arrival counted",
            unit="frames/s",
            better="higher",
            contenders=contenders,
            limit_is="sendmmsg of one constant frame, nothing patched",
            targets=(Target("ahead_of", ">=", 50, "sendp of a prebuilt list"),),
            place="guest",
        )
        for mode, contenders in (("iptables", _iptables), ("ipvs", _ipvs), ("nftables", _nftables))
    ),
    Benchmark(
        name="taps",
        work=f"connect p50 of {_CONNECTIONS} connections, taps on",
        unit="us",
        better="lower",
        contenders=_taps,
        limit_is="the same with taps off",
        targets=(Target("of_limit", "<=", 1.05),),
        place="guest",
        rounds=25,
    ),
)
