"""A client that tries again: what an application sees of a pod that dies, call by call.

Over TCP every attempt is a new connection from a new port. Over UDP all attempts come from one socket, as
those of a resolver or a metrics agent do: the same port again and again is what makes conntrack and IPVS
send to a pod that is no longer there.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.traffic.answer import read_answer
from labkit.traffic.flow import FlowError, Target, datagram_of
from labkit.traffic.http1 import whole_body
from labkit.traffic.ports import bind_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.fabric.namespace import Namespace

    Attempts = Callable[[float], str]  # makes one attempt until a deadline and returns the pod that answered

READ_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class CallPlan:
    """`calls` calls, one every `every_s`, each of at most 1 + `retries` attempts, `backoff_s` apart.

    A call begins at its time, or when the one before it has ended, whichever is later.
    """

    calls: int = 30
    every_s: float = 1.0
    timeout_s: float = 1.0
    retries: int = 2
    backoff_s: float = 0.0

    def __post_init__(self) -> None:
        """Raise RequestError for numbers that cannot be."""
        for name, least in (("calls", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise RequestError(f"{name} is {getattr(self, name)}", todo=f"use {least} or more")
        for name in ("every_s", "backoff_s"):
            if not getattr(self, name) >= 0:
                raise RequestError(f"{name} is {getattr(self, name)}", todo="use 0 or more")
        if not self.timeout_s > 0:
            raise RequestError(f"timeout_s is {self.timeout_s}", todo="use more than 0")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: the pod that answered, or what went wrong instead, and how long it took."""

    pod: str | None
    error: FlowError | None
    took_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call, begun `at_s` after the first: its attempts, of which at most the last was answered."""

    at_s: float
    attempts: tuple[Attempt, ...]

    @property
    def is_answered(self) -> bool:
        """Whether one of its attempts was answered."""
        return self.attempts[-1].error is None


def call_repeatedly(namespace: Namespace, source: str, target: Target, plan: CallPlan) -> tuple[Call, ...]:
    """Call `target` from `source`, an address of `namespace`, as planned, and return what came of each call.

    An interrupt ends it after the attempt under way. Raises TrafficError where the client itself cannot send.
    """
    ended = threading.Event()
    attempts = _tcp_attempts if target.protocol == "TCP" else _udp_attempts

    def run() -> tuple[Call, ...]:
        with attempts(source, target) as attempt:
            return tuple(_calls(attempt, plan, ended))

    try:
        return namespace.run(run)
    finally:
        ended.set()


def _calls(attempt: Attempts, plan: CallPlan, ended: threading.Event) -> Iterator[Call]:
    begun_s = time.monotonic()
    for number in range(plan.calls):
        ended.wait(max(0.0, begun_s + number * plan.every_s - time.monotonic()))
        at_s = time.monotonic() - begun_s
        attempts: list[Attempt] = []
        while not ended.is_set() and len(attempts) <= plan.retries:
            if attempts:
                ended.wait(plan.backoff_s)
            attempts.append(_timed(attempt, plan.timeout_s))
            if attempts[-1].error is None:
                break
        if ended.is_set():
            return
        yield Call(at_s, tuple(attempts))


def _timed(attempt: Attempts, timeout_s: float) -> Attempt:
    begun_s = time.monotonic()
    pod, error = None, None
    try:
        pod = attempt(begun_s + timeout_s)
    except OSError as failure:
        error = _error_of(failure)
    return Attempt(pod, error, time.monotonic() - begun_s)


def _error_of(error: OSError) -> FlowError:
    if isinstance(error, ConnectionRefusedError | PermissionError):
        return "refused"
    return "reset" if isinstance(error, ConnectionError) else "timeout"


@contextlib.contextmanager
def _tcp_attempts(source: str, target: Target) -> Iterator[Attempts]:
    """Yield what connects anew, asks once, and returns the pod that answered; OSError where none did."""
    request = f"GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n".encode()

    def attempt(deadline_s: float) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
            bind_source(opened, source)
            _limit(opened, deadline_s)
            opened.connect((target.address, target.port))
            opened.sendall(request)
            data, body = b"", None
            while body is None:
                _limit(opened, deadline_s)
                more = opened.recv(READ_BYTES)
                data += more
                body = whole_body(data, ended=not more)
                if body is None and not more:
                    raise ConnectionResetError
            return _pod_in(body)

    yield attempt


@contextlib.contextmanager
def _udp_attempts(source: str, target: Target) -> Iterator[Attempts]:
    """Yield what asks from the one socket of all attempts; answers to earlier ones are dropped."""
    numbers = itertools.count()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        bind_source(kept, source)
        kept.connect((target.address, target.port))

        def attempt(deadline_s: float) -> str:
            number = next(numbers)
            kept.send(datagram_of(number))
            while True:
                _limit(kept, deadline_s)
                body = kept.recv(READ_BYTES)
                answer = read_answer(body)
                if answer is None or answer.flow == str(number):
                    return _pod_in(body)

        yield attempt


def _limit(opened: socket.socket, deadline_s: float) -> None:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    opened.settimeout(left_s)


def _pod_in(body: bytes) -> str:
    answer = read_answer(body)
    return answer.pod if answer else ""
