"""The process behind all pods: one epoll loop that answers on sockets made in the pods' namespaces.

It is started by `backend.py`, gets listening sockets and orders over one SOCK_SEQPACKET line, and ends when
that line ends: however its parent dies, it does not stay. (PR_SET_PDEATHSIG would also fire when only the
thread that started it ends.) Standard library only, so that it starts quickly.
"""

from __future__ import annotations

import heapq
import itertools
import json
import resource
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Protocol

from labkit.traffic.servedpod import ServedPod, TcpDoor, UdpDoor
from labkit.traffic.timer import ALARM_EVENTS, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE_BYTES = 1 << 20
MOST_SOCKETS_PER_MESSAGE = 200  # the kernel takes 253 (SCM_MAX_FD)


class Readable(Protocol):
    """What stands behind a descriptor in the loop."""

    def on_readable(self) -> None:
        """Take what has arrived."""


class Server:
    """The loop, its queue of finish times, and the orders that come down the line."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.pods: dict[str, ServedPod] = {}
        self.epoll = select.epoll()
        self.timer = Timer()
        self.readers: dict[int, Readable] = {}
        self.due: list[tuple[int, int, Callable[[], None]]] = []
        self.tickets = itertools.count()
        self.ended = False
        self.epoll.register(line, select.EPOLLIN)
        self.epoll.register(self.timer, ALARM_EVENTS)

    def run(self) -> None:
        """Answer until the line ends."""
        orders, alarm = self.line.fileno(), self.timer.fileno()
        while not self.ended:
            for descriptor, _ in self.epoll.poll():
                if descriptor == alarm:
                    self.timer.acknowledge()
                    self.finish_due()
                elif descriptor == orders:
                    self.take_order()
                elif (reader := self.readers.get(descriptor)) is not None:
                    reader.on_readable()

    def watch(self, opened: socket.socket, reader: Readable) -> None:
        """Call `reader` whenever `opened` has something to read."""
        self.readers[opened.fileno()] = reader
        self.epoll.register(opened, select.EPOLLIN)

    def wait_for(self, opened: socket.socket, events: int) -> None:
        """From now on call a watched socket's reader for these epoll events; 0: for none."""
        self.epoll.modify(opened, events)

    def forget(self, opened: socket.socket) -> None:
        """Close a socket; a second call does nothing."""
        self.readers.pop(opened.fileno(), None)
        opened.close()

    def serve(self, pod: ServedPod, request: bytes, answer: Callable[[], None]) -> None:
        """Call `answer` when `pod` has served all who came before, and this one."""
        pod.received += 1
        finish_ns = pod.finish_time(request)
        if finish_ns is None:
            answer()
        else:
            heapq.heappush(self.due, (finish_ns, next(self.tickets), answer))
            self.timer.wake_by(self.due[0][0])

    def finish_due(self) -> None:
        """Send the answers whose time has come and set the alarm for the next."""
        now_ns = time.monotonic_ns()
        while self.due and self.due[0][0] <= now_ns:
            heapq.heappop(self.due)[2]()
        if self.due:
            self.timer.wake_by(self.due[0][0])

    def take_order(self) -> None:
        """Obey one message, {"ticket": number, "order": name, ...}, and answer {"ticket", "reply"}."""
        message, descriptors, _, _ = socket.recv_fds(self.line, MESSAGE_BYTES, MOST_SOCKETS_PER_MESSAGE)
        if not message:
            self.ended = True
            return
        order = json.loads(message)
        ticket, name = order.pop("ticket"), order.pop("order")
        reply = getattr(self, "order_" + name)(descriptors, **order)
        try:
            self.line.send(json.dumps({"ticket": ticket, "reply": reply}).encode())
        except OSError:
            self.ended = True

    def order_open(
        self, descriptors: list[int], *, pod: dict[str, str], ports: list[tuple[str, int]]
    ) -> None:
        """Answer for `pod` on sockets, given in the order of `ports`."""
        served = self.pods.setdefault(pod["name"], ServedPod(**pod))
        for descriptor, (protocol, port) in zip(descriptors, ports, strict=True):
            kind = TcpDoor if protocol == "TCP" else UdpDoor
            served.doors.append(kind(self, served, socket.socket(fileno=descriptor), port))

    def order_kill(self, _: list[int], *, pod: str) -> None:
        """Let a pod die."""
        self.pods[pod].die()

    def order_drop(self, _: list[int]) -> None:
        """Drop the queues of all pods."""
        for pod in self.pods.values():
            pod.drop_queue()

    def order_pace(self, _: list[int], *, service_ns: dict[str, int]) -> None:
        """Set service times, from the next request of each pod on."""
        for name, duration_ns in service_ns.items():
            self.pods[name].service_ns = duration_ns

    def order_count(self, _: list[int]) -> dict[str, int]:
        """Report how many requests each pod has answered."""
        return {name: pod.answered for name, pod in self.pods.items()}

    def order_received(self, _: list[int]) -> dict[str, int]:
        """Report how many requests have joined each pod's queue."""
        return {name: pod.received for name, pod in self.pods.items()}


def main(descriptor: int) -> None:
    """Serve over the line at `descriptor` until it ends. The session's interrupts are not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Server(socket.socket(fileno=descriptor)).run()
