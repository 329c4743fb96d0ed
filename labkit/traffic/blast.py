"""Blast: as many new flows as the kernel forwards, a frame each, and every arrival at a pod counted.

A frame is a TCP SYN or a UDP datagram, the first packet of a flow of its own: the one that walks the rules.
It enters through the client's interface as any frame does. A packet socket at each pod counts what has this
blast's mark; its buffer is full at once, and from then on the kernel only counts (PACKET_STATISTICS), which
is exact and costs a filter run. Behind the count the pod drops the frame (`fabric/silence.py`).
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from labkit.errors import TrafficError
from labkit.fabric.silence import unanswered
from labkit.traffic.blastframes import FrameBatch, arrival_filter, craft_frame, plan_runs
from labkit.traffic.blastsending import FRAMES_PER_CALL, frame_sender
from labkit.traffic.packetsocket import open_packet_socket, read_passed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.traffic.blastframes import LinkLayer, Run
    from labkit.traffic.flow import Target

    Progress = Callable[[int, int], None]

COUNTER_BUFFER_BYTES = 1  # the kernel makes it the least it can
SETTLE_S = 0.5
PROGRESS_EVERY = 32  # batches


@dataclass(frozen=True, slots=True)
class ArrivalPoint:
    """Where frames to a pod are counted. `is_own`: the namespace is the pod's alone, not its node's."""

    pod: str
    namespace: Namespace
    interface: str
    address: str
    is_own: bool = True


@dataclass(frozen=True, slots=True)
class BlastCount:
    """What came of a blast: frames sent, those that arrived by pod, seconds from the first to the last."""

    sent: int
    delivered: Mapping[str, int]
    seconds: float


class FlowNumbers:
    """Numbers of flows that no blast of this process has used: a flow that conntrack knows is not new."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> int:
        """Return the first of `count` new numbers."""
        first, self._next = self._next, self._next + count
        return first


FLOW_NUMBERS = FlowNumbers()


def blast(
    client: Namespace,
    link: LinkLayer,
    sources: Sequence[str],
    target: Target,
    pods: Sequence[ArrivalPoint],
    *,
    flows: int,
    on_progress: Progress | None = None,
) -> BlastCount:
    """Send the first frames of `flows` flows to `target` and count those that arrive at each pod.

    Each flow has a source address and port of its own, which no blast before had (as long as there are any).
    `on_progress(done, total)` counts frames. An interrupt ends it. Raises TrafficError where frames cannot
    be sent or counted.
    """
    mark = random.randrange(1, 1 << 16)
    batch = FrameBatch(craft_frame(link, target, mark), FRAMES_PER_CALL)
    runs = tuple(plan_runs(sources, FLOW_NUMBERS.take(flows), flows, FRAMES_PER_CALL))
    try:
        with (
            silent_pods(pods, sources),
            Arrivals(target, pods, mark) as arrivals,
            client.run(lambda: _open_line(link.interface)) as line,
        ):
            begun = time.monotonic()
            _send(line, batch, runs, on_progress)
            ended = arrivals.settle(flows)
    except OSError as error:
        raise TrafficError(
            f"frames cannot be sent or counted: {error.strerror}",
            where=client.name,
            todo="run it in the lab's Linux: labkit exec -- ...",
        ) from error
    return BlastCount(flows, arrivals.delivered, ended - begun)


@contextlib.contextmanager
def silent_pods(pods: Sequence[ArrivalPoint], sources: Sequence[str]) -> Iterator[None]:
    """Let pods drop what comes from `sources`; those on their node's own network answer as ever."""
    with contextlib.ExitStack() as stack:
        for pod in pods:
            if pod.is_own:
                stack.enter_context(unanswered(pod.namespace, pod.interface, sources))
        yield


class Arrivals:
    """Counters at the pods. A context manager; `delivered` has the counts by pod."""

    def __init__(self, target: Target, pods: Sequence[ArrivalPoint], mark: int) -> None:
        """Count frames with `mark`. Raises OSError where that is refused."""
        self.delivered = {pod.pod: 0 for pod in pods}
        self._opened: list[tuple[str, socket.socket]] = []
        try:
            for pod in pods:
                self._opened.append((pod.pod, _open_counter(pod, target, mark)))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for _pod, opened in self._opened:
            opened.close()

    def count(self) -> int:
        """Return how many frames have arrived."""
        for pod, opened in self._opened:
            self.delivered[pod] += read_passed(opened)
        return sum(self.delivered.values())

    def settle(self, sent: int) -> float:
        """Wait until all have arrived or no more do; return when the last one was seen (monotonic)."""
        arrived, seen = self.count(), time.monotonic()
        while arrived < sent:
            self._make_room()  # a socket tells of an arrival only if it has room for it
            before, arrived = arrived, self.count()
            if arrived == before:
                sockets = [opened for _pod, opened in self._opened]
                if not select.select(sockets, (), (), SETTLE_S)[0]:
                    break
                arrived = self.count()
            seen = time.monotonic()
        return seen

    def _make_room(self) -> None:
        for _pod, opened in self._opened:
            with contextlib.suppress(BlockingIOError):
                while True:
                    opened.recv(1, socket.MSG_DONTWAIT)


def _send(line: socket.socket, batch: FrameBatch, runs: Sequence[Run], on_progress: Progress | None) -> None:
    sender = frame_sender(line, batch)
    total, done = sum(run.count for run in runs), 0
    for number, run in enumerate(runs, 1):
        batch.aim(run)
        sender.send(run.count)
        done += run.count
        if on_progress is not None and (number % PROGRESS_EVERY == 0 or done == total):
            on_progress(done, total)


def _open_line(interface: str) -> socket.socket:
    """Open a socket that only sends: protocol 0, so that nothing is copied to it."""
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    line.bind((interface, 0))
    return line


def _open_counter(pod: ArrivalPoint, target: Target, mark: int) -> socket.socket:
    program = arrival_filter(target, pod.address, mark)
    return pod.namespace.run(lambda: open_packet_socket(pod.interface, COUNTER_BUFFER_BYTES, program))
