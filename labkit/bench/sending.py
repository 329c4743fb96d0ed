"""Sending: frames through a Service beside Scapy's own ways, each arrival counted; connections beside wrk."""

from __future__ import annotations

import re
import socket
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.bench.benchmark import Place
    from labkit.bench.scene import Scene
    from labkit.proxy.plans import Mode

_FLOWS, _FEW = 20_000, 1_000
_CONNECTIONS, _AT_ONCE = 2000, 32
_SENDP, _WRK = "sendp of a prebuilt list", "wrk, a connection for each request, none timed"
_REQUESTS_A_SECOND = re.compile(r"Requests/sec: +([0-9.]+)")


@contextmanager
def _frames(mode: Mode) -> Iterator[Contenders]:
    from labkit.bench.scene import Scene

    with Scene(mode) as scene:
        yield Contenders(
            partial(_blast, scene),
            partial(_count, scene, _send_constant, _FLOWS),
            {
                _SENDP: partial(_count, scene, _sendp, _FEW),
                "L2socket.send(Raw)": partial(_count, scene, _send_raw, _FLOWS),
                "L2socket.outs.send": partial(_count, scene, _send_outs, _FLOWS),
            },
        )


@contextmanager
def _iptables() -> Iterator[Contenders]:
    with _frames("iptables") as contenders:
        yield contenders


@contextmanager
def _ipvs() -> Iterator[Contenders]:
    with _frames("ipvs") as contenders:
        yield contenders


@contextmanager
def _nftables() -> Iterator[Contenders]:
    with _frames("nftables") as contenders:
        yield contenders


def _blast(scene: Scene) -> float:
    from labkit.measure.blasting import blast_service

    scene.reset()  # conntrack is empty again for everybody
    result = blast_service(scene.network, scene.service, _FLOWS, programmed=scene.programmed)
    if result.lost:
        raise GuestError(f"{result.lost} frames were lost")
    return result.frames_per_s


def _count(scene: Scene, prepare: Callable[[str, list[bytes]], Callable[[], object]], flows: int) -> float:
    """Return the frames per second that `prepare`'s function gets through the Service: all of them arrive."""
    from labkit.measure.blasting import arrival_points, plan_first_hop
    from labkit.traffic.blast import Arrivals, silent_pods
    from labkit.traffic.blastframes import craft_frame

    scene.reset()
    service, plan = scene.service, scene.plan
    link, sources = plan_first_hop(plan, "client", service.target.address), plan.clients["client"].addresses
    frames = _patched(craft_frame(link, service.target, 1), sources[0], flows)
    pods = tuple(arrival_points(scene.network, service.pods))
    with silent_pods(pods, sources), Arrivals(service.target, pods, 1) as arrivals:
        send = scene.network.client("client").run(partial(prepare, link.interface, frames))
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
def _connections() -> Iterator[Contenders]:
    from labkit.bench.scene import Scene
    from labkit.traffic.backend import build_backends, plan_pod_ports

    with Scene("ipvs") as scene:
        pods = [(ports, scene.network.pod(ports.pod)) for ports in plan_pod_ports(scene.cluster)]
        with build_backends(pods):
            yield Contenders(partial(_connect, scene), peers={_WRK: partial(_connect_with_wrk, scene)})


def _connect(scene: Scene) -> float:
    """Return how many connections a second our client opens, asks through, and closes."""
    from labkit.traffic.flows import send_flows
    from labkit.traffic.workload import Workload, plan_flows

    workload = Workload(connections=_CONNECTIONS, concurrency=_AT_ONCE)
    plans = plan_flows(workload, 1, scene.plan.clients["client"].addresses)
    begun = time.monotonic()
    outcomes = send_flows(scene.network.client("client"), scene.service.target, workload, plans)
    seconds = time.monotonic() - begun
    if failed := sum(outcome.error is not None for outcome in outcomes):
        raise GuestError(f"{failed} of {_CONNECTIONS} connections failed")
    return _CONNECTIONS / seconds


def _connect_with_wrk(scene: Scene) -> float:
    """Return the requests a second that wrk makes with a connection for each, from one thread."""
    target = scene.service.target
    argv = ["wrk", "--threads", "1", "--connections", str(_AT_ONCE), "--duration", "2s"]
    argv += ["--header", "Connection: close", f"http://{target.address}:{target.port}/"]
    done = scene.network.client("client").command(argv)
    found = _REQUESTS_A_SECOND.search(done.stdout)
    if done.status or not found:
        raise GuestError("wrk failed", where=(done.stderr or done.stdout).strip())
    return float(found[1])


_CONTENDERS = {"iptables": _iptables, "ipvs": _ipvs, "nftables": _nftables}


def _row(mode: str, place: Place) -> Benchmark:
    on_host = place == "host"
    where = ", in this machine's own kernel (root)" if on_host else ""
    return Benchmark(
        name=f"frames-{mode}{'-host' if on_host else ''}",
        work=f"{_FLOWS:,} SYNs of new flows through a Service, {mode} mode, each arrival counted{where}",
        unit="frames/s",
        better="higher",
        contenders=_CONTENDERS[mode],
        limit_is="sendmmsg of one constant frame, nothing patched",
        targets=(Target("ahead_of", ">=", 50, _SENDP),),
        place=place,
        on_request=on_host,
    )


BENCHMARKS = (
    *(_row(mode, "guest") for mode in _CONTENDERS),
    _row("iptables", "host"),
    Benchmark(
        name="connections",
        work=f"{_CONNECTIONS:,} TCP connections through a Service, {_AT_ONCE} at once, each timed, IPVS",
        unit="1/s",
        better="higher",
        contenders=_connections,
        place="guest",
    ),
)
