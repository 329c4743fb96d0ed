"""Measured flows: new TCP connections or UDP datagrams to one address, several at a time, timed one by one.

A flow asks once, reads the whole answer, and closes first, with an ordinary FIN. That is what a client
does, and it keeps the books right: IPVS counts a connection as active until its FIN (least-connection
schedulers see just the open ones), and TIME_WAIT stays with the client, whose ports do not come again soon
(`ports.py`). A reset would spare TIME_WAIT, but show the schedulers and conntrack a state that real clients
seldom leave.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from labkit.errors import TrafficError
from labkit.traffic.clientflow import ClientFlow
from labkit.traffic.flow import request_of
from labkit.traffic.ports import bind_source
from labkit.traffic.timer import ALARM_EVENTS, Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.traffic.flow import FlowError, FlowOutcome, Target
    from labkit.traffic.workload import FlowPlan, Workload

INTERRUPT_TIMEOUT_S = 5.0
PROGRESS_INTERVAL_NS = 50_000_000
SPARE_FILES = 256

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


class _FlowLoop:
    """The client's epoll loop. Lives in the thread of the client's namespace, for one `run()`."""

    def __init__(self, target: Target, workload: Workload, plans: Sequence[FlowPlan], stop: int) -> None:
        self.target = target
        self.is_tcp = target.protocol == "TCP"
        self.kind = (socket.SOCK_STREAM if self.is_tcp else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK
        self.requests = {times: request_of(target, times) for times in {plan.times for plan in plans}}
        self.concurrency = workload.concurrency
        self.timeout_ns = round(workload.timeout_s * 1e9)
        self.plans = plans
        self.stop = stop
        self.waiting = deque(plans)
        self.flows: dict[int, ClientFlow] = {}
        self.by_age: deque[ClientFlow] = deque()
        self.outcomes: list[FlowOutcome] = []
        self.epoll = select.epoll()
        self.timer = Timer()
        self.origin_ns = 0
        self.progress_ns = 0

    def run(self, progress: Callable[[int, int], None] | None) -> tuple[FlowOutcome, ...]:
        """Send all flows and wait for them."""
        _allow_files(len(self.plans))
        try:
            self.epoll.register(self.timer, ALARM_EVENTS)
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
        flow = ClientFlow(plan, opened, port, time.monotonic_ns() if intended_ns is None else intended_ns)
        self.flows[opened.fileno()] = flow
        self.by_age.append(flow)
        try:
            flow.connect(self.target, self.requests[flow.times])
        except OSError as error:
            self._finish(flow, error=self._error_of(error))
        else:
            events = select.EPOLLIN if flow.connected_ns else select.EPOLLIN | select.EPOLLOUT
            self.epoll.register(opened, events | select.EPOLLET)

    def _advance(self, flow: ClientFlow, event: int, now_ns: int) -> None:
        try:
            if flow.connected_ns:
                self._finish(flow, body=flow.read(), now_ns=now_ns)
            elif event & select.EPOLLERR:
                flow.raise_failure()
            else:
                flow.ask(self.requests[flow.times], now_ns)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(flow, error=self._error_of(error))

    def _expire(self, now_ns: int) -> None:
        while self.by_age and (self.by_age[0].done or self.by_age[0].begun_ns + self.timeout_ns <= now_ns):
            flow = self.by_age.popleft()
            if not flow.done:
                self._finish(flow, error="timeout")

    def _finish(
        self, flow: ClientFlow, *, body: bytes = b"", now_ns: int = 0, error: FlowError | None = None
    ) -> None:
        flow.done = True
        del self.flows[flow.socket.fileno()]
        flow.socket.close()
        self.outcomes.append(flow.outcome(self.origin_ns, body=body, answered_ns=now_ns, error=error))

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
