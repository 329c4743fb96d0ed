"""Measured flows: new TCP connections or UDP datagrams to one address, several at a time, timed one by one.

A flow asks once, reads the whole answer, and closes first, with an ordinary FIN. That is what a client
does, and it keeps the books right: IPVS counts a connection as active until its FIN (least-connection
schedulers see just the open ones), and TIME_WAIT stays with the client, whose ports do not come again soon
(`ports.py`). A reset would spare TIME_WAIT, but show the schedulers and conntrack a state that real clients
seldom leave.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from labkit.errors import TrafficError
from labkit.traffic.answer import read_answer
from labkit.traffic.flow import FlowError, FlowOutcome, Target, datagram_of
from labkit.traffic.http1 import whole_body
from labkit.traffic.ports import bind_source
from labkit.traffic.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.traffic.workload import FlowPlan, Workload

INTERRUPT_TIMEOUT_S = 5.0
PROGRESS_INTERVAL_NS = 50_000_000
SPARE_FILES = 256
READ_BYTES = 1 << 14

_ERRORS: dict[int, FlowError] = {
    errno.ECONNREFUSED: "refused",
    errno.EPERM: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "timeout",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
}


def send_flows(
    namespace: Namespace,
    target: Target,
    workload: Workload,
    plans: Sequence[FlowPlan],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FlowOutcome, ...]:
    """Send `plans` from `namespace` and return their outcomes in the order of their numbers.

    `workload` gives the concurrency (closed arrivals) and the time-out. `progress(done, total)` is called
    in the namespace's thread, at most 20 times a second and at the end. An interrupt ends it at once.
    Raises TrafficError where the client itself cannot send: no such address, no route, no more open files.
    """
    stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    entered, left = threading.Event(), threading.Event()

    def run() -> tuple[FlowOutcome, ...]:
        entered.set()
        try:
            return _FlowLoop(target, workload, plans, stop).run(progress)
        finally:
            left.set()

    try:
        return namespace.run(run)
    except BaseException:
        # An interrupt ended the waiting, not the loop in the namespace's thread.
        os.eventfd_write(stop, 1)
        if entered.is_set():
            left.wait(INTERRUPT_TIMEOUT_S)
        raise
    finally:
        os.close(stop)


class _Flow:
    """One flow under way."""

    __slots__ = ("asked_ns", "begun_ns", "client", "connected_ns", "data", "done", "number", "socket")

    def __init__(self, plan: FlowPlan, opened: socket.socket, port: int, begun_ns: int) -> None:
        self.number = plan.number
        self.socket = opened
        self.client = f"{plan.client}:{port}"
        self.begun_ns = begun_ns
        self.connected_ns = 0
        self.asked_ns = 0
        self.data = b""
        self.done = False


class _FlowLoop:
    """The client's epoll loop. Lives in the thread of the client's namespace, for one `run()`."""

    def __init__(self, target: Target, workload: Workload, plans: Sequence[FlowPlan], stop: int) -> None:
        self.target = target
        self.is_tcp = target.protocol == "TCP"
        self.kind = (socket.SOCK_STREAM if self.is_tcp else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK
        self.request = f"GET / HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
        self.concurrency = workload.concurrency
        self.timeout_ns = round(workload.timeout_s * 1e9)
        self.plans = plans
        self.stop = stop
        self.waiting = deque(plans)
        self.flows: dict[int, _Flow] = {}
        self.by_age: deque[_Flow] = deque()
        self.outcomes: list[FlowOutcome] = []
        self.epoll = select.epoll()
        self.timer = Timer()
        self.origin_ns = 0
        self.progress_ns = 0

    def run(self, progress: Callable[[int, int], None] | None) -> tuple[FlowOutcome, ...]:
        """Send all flows and wait for them."""
        _allow_files(len(self.plans))
        try:
            self.epoll.register(self.timer, select.EPOLLIN)
            self.epoll.register(self.stop, select.EPOLLIN)
            self.origin_ns = now_ns = time.monotonic_ns()
            self._start_due(now_ns)
            while len(self.outcomes) < len(self.plans) and self._turn():
                if progress is not None:
                    self._report(progress)
        finally:
            self._close()
        return tuple(sorted(self.outcomes, key=lambda outcome: outcome.number))

    def _turn(self) -> bool:
        """Wait for events and deal with them; False when stopped."""
        self._set_alarm()
        events = self.epoll.poll()
        now_ns = time.monotonic_ns()
        for descriptor, event in events:
            if (flow := self.flows.get(descriptor)) is not None:
                self._advance(flow, event, now_ns)
            elif descriptor == self.stop:
                return False
            else:
                self.timer.acknowledge()
                self._expire(now_ns)
        self._start_due(now_ns)
        return True

    def _set_alarm(self) -> None:
        while self.by_age and self.by_age[0].done:
            self.by_age.popleft()
        alarms = [self.by_age[0].begun_ns + self.timeout_ns] if self.by_age else []
        if self.waiting and self.waiting[0].start_us is not None:
            alarms.append(self._intended_ns(self.waiting[0].start_us))
        if alarms:
            self.timer.wake_by(min(alarms))

    def _intended_ns(self, start_us: float) -> int:
        return self.origin_ns + round(start_us * 1000)

    def _start_due(self, now_ns: int) -> None:
        while self.waiting:
            start_us = self.waiting[0].start_us
            if start_us is None:
                if len(self.flows) >= self.concurrency:
                    return
                self._start(self.waiting.popleft(), None)
            else:
                intended_ns = self._intended_ns(start_us)
                if intended_ns > now_ns:
                    return
                self._start(self.waiting.popleft(), intended_ns)

    def _start(self, plan: FlowPlan, intended_ns: int | None) -> None:
        try:
            opened = socket.socket(socket.AF_INET, self.kind)
        except OSError as error:
            raise _too_many(len(self.flows), error) from error
        try:
            port = bind_source(opened, plan.client)
        except BaseException:
            opened.close()
            raise
        flow = _Flow(plan, opened, port, time.monotonic_ns() if intended_ns is None else intended_ns)
        self.flows[opened.fileno()] = flow
        self.by_age.append(flow)
        try:
            self._connect(flow)
        except OSError as error:
            self._finish(flow, error=self._error_of(error))

    def _connect(self, flow: _Flow) -> None:
        status = flow.socket.connect_ex((self.target.address, self.target.port))
        if status not in {0, errno.EINPROGRESS}:
            _raise_status(status)
        if not self.is_tcp:
            flow.connected_ns = flow.asked_ns = flow.begun_ns
            flow.socket.send(datagram_of(flow.number))
        else:
            # Without a delay on the way the handshake is over when connect() returns: then nothing waits for
            # the loop to come round.
            with contextlib.suppress(BlockingIOError):
                self._ask(flow, time.monotonic_ns())
        events = select.EPOLLIN if flow.connected_ns else select.EPOLLIN | select.EPOLLOUT
        self.epoll.register(flow.socket, events | select.EPOLLET)

    def _ask(self, flow: _Flow, connected_ns: int) -> None:
        """Send the request. Raises BlockingIOError as long as there is no connection."""
        asked_ns = time.monotonic_ns()
        flow.socket.send(self.request)
        flow.connected_ns = connected_ns
        flow.asked_ns = asked_ns

    def _advance(self, flow: _Flow, event: int, now_ns: int) -> None:
        try:
            if flow.connected_ns:
                self._read(flow, now_ns)
            elif event & select.EPOLLERR:
                _raise_status(flow.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            else:
                self._ask(flow, now_ns)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(flow, error=self._error_of(error))

    def _read(self, flow: _Flow, now_ns: int) -> None:
        while True:
            data = flow.socket.recv(READ_BYTES)
            flow.data += data
            body = whole_body(flow.data, ended=not data) if self.is_tcp else data
            if body is not None:
                return self._finish(flow, body=body, now_ns=now_ns)
            if not data:
                return self._finish(flow, error="reset")

    def _expire(self, now_ns: int) -> None:
        while self.by_age and (self.by_age[0].done or self.by_age[0].begun_ns + self.timeout_ns <= now_ns):
            flow = self.by_age.popleft()
            if not flow.done:
                self._finish(flow, error="timeout")

    def _finish(
        self, flow: _Flow, *, body: bytes = b"", now_ns: int = 0, error: FlowError | None = None
    ) -> None:
        flow.done = True
        del self.flows[flow.socket.fileno()]
        flow.socket.close()
        answer = read_answer(body)
        has_connected = self.is_tcp and flow.connected_ns > 0
        self.outcomes.append(
            FlowOutcome(
                number=flow.number,
                client=flow.client,
                started_us=(flow.begun_ns - self.origin_ns) / 1000,
                pod=answer.pod if answer else None,
                peer=answer.peer if answer else None,
                connect_us=(flow.connected_ns - flow.begun_ns) / 1000 if has_connected else None,
                response_us=(now_ns - flow.asked_ns) / 1000 if error is None else None,
                error=error,
            )
        )

    def _error_of(self, error: OSError) -> FlowError:
        try:
            return _ERRORS[error.errno or 0]
        except KeyError:
            raise TrafficError(
                f"the client cannot reach {self.target}: {error.strerror}",
                todo="look at its routes: ip route, in the client's namespace",
            ) from error

    def _report(self, progress: Callable[[int, int], None]) -> None:
        done, total = len(self.outcomes), len(self.plans)
        now_ns = time.monotonic_ns()
        if done == total or now_ns - self.progress_ns >= PROGRESS_INTERVAL_NS:
            self.progress_ns = now_ns
            progress(done, total)

    def _close(self) -> None:
        for flow in self.flows.values():
            flow.socket.close()
        self.epoll.close()
        self.timer.close()


def _raise_status(status: int) -> NoReturn:
    raise OSError(status, os.strerror(status))


def _allow_files(flows: int) -> None:
    """Let this process open a file for each flow, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(flows + SPARE_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _too_many(count: int, error: OSError) -> TrafficError:
    return TrafficError(
        f"no more connections than {count} at a time can be open here: {error.strerror}",
        todo="lower rate_per_s or timeout_s, or raise the limit: ulimit -n",
    )
