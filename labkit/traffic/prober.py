"""Prober: asks pods whether they are ready, from their nodes, as each node's kubelet does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from labkit.traffic.readiness import after, settled, started

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.fabric.namespace import Namespace
    from labkit.spec.model import Pod, Probe

READ_BYTES = 10 * 1024  # as much as a kubelet reads of an answer


class OnChange(Protocol):
    """What is called when a pod becomes ready, or no longer is."""

    def __call__(self, pod: str, *, ready: bool) -> None:
        """Take note of it."""


class Prober:
    """Probes pods, each in a thread of its own, and calls `on_change(pod, ready=...)` from there.

    A pod is ready when all its probes say so; one without probes is not probed. At first a pod is as ready as
    its cluster says, as if it had been running for long. `close()` ends it.
    """

    def __init__(
        self,
        pods: Iterable[tuple[Pod, Namespace]],
        on_change: OnChange,
    ) -> None:
        """Probe pods from now on, each from its node's namespace."""
        self._on_change = on_change
        self._ending = threading.Event()
        self._workers = {pod.key: _Worker(pod, node) for pod, node in pods if pod.probes}
        self._threads = [
            threading.Thread(target=self._live, args=item, name=f"probe {item[0]}", daemon=True)
            for item in self._workers.items()
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restart(self, pod: str) -> None:
        """Treat a pod as started just now: not ready, its first probe due after the initial delay."""
        if (worker := self._workers.get(pod)) is not None:
            worker.restart()
            self._on_change(pod, ready=False)

    def close(self) -> None:
        """End all probing. A second call does nothing."""
        self._ending.set()
        for worker in self._workers.values():
            worker.wake.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _live(self, key: str, worker: _Worker) -> None:
        while not self._ending.is_set():
            worker.wake.wait(max(0.0, worker.due_s - time.monotonic()))
            if self._ending.is_set():
                return
            worker.wake.clear()
            if worker.probe_due(time.monotonic()):
                self._on_change(key, ready=worker.is_ready)


class _Worker:
    """The probes of one pod."""

    def __init__(self, pod: Pod, node: Namespace) -> None:
        self.pod = pod
        self.node = node
        self.wake = threading.Event()
        self._lock = threading.Lock()
        now_s = time.monotonic()
        self._readiness = tuple(settled(probe, now_s, is_ready=pod.ready) for probe in pod.probes)

    @property
    def is_ready(self) -> bool:
        return all(one.is_ready for one in self._readiness)

    @property
    def due_s(self) -> float:
        return min(one.due_s for one in self._readiness)

    def restart(self) -> None:
        with self._lock:
            self._readiness = tuple(started(probe, time.monotonic()) for probe in self.pod.probes)
        self.wake.set()

    def probe_due(self, now_s: float) -> bool:
        """Probe what is due and return whether the pod's readiness has changed."""
        before, was_ready = self._readiness, self.is_ready
        results = tuple(
            after(one, succeeded=probe_once(self.node, self.pod.address, one.probe), now_s=now_s)
            if one.due_s <= now_s
            else one
            for one in before
        )
        with self._lock:
            if (
                self._readiness is before
            ):  # else the pod was started anew meanwhile: the result is an old one's
                self._readiness = results
        return self.is_ready != was_ready


def probe_once(node: Namespace, address: str, probe: Probe) -> bool:
    """Probe once from a node and return whether it succeeded in time.

    Over HTTP any status of 200-399 is a success; redirections are not followed.
    """
    opened = node.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    deadline_s = time.monotonic() + probe.timeout_s
    with opened, contextlib.suppress(OSError):
        opened.settimeout(probe.timeout_s)
        opened.connect((address, probe.port))
        return probe.kind == "tcp" or _is_success(opened, address, probe, deadline_s)
    return False


def _is_success(opened: socket.socket, address: str, probe: Probe, deadline_s: float) -> bool:
    opened.sendall(_request(address, probe))
    answer = b""
    while b"\r\n" not in answer:
        opened.settimeout(max(1e-6, deadline_s - time.monotonic()))
        data = opened.recv(READ_BYTES)
        if not data:
            return False
        answer += data
    words = answer.split(b" ", 2)
    return words[0].startswith(b"HTTP/") and words[1].isdigit() and 200 <= int(words[1]) < 400


def _request(address: str, probe: Probe) -> bytes:
    given = dict(probe.headers)
    headers = {"Host": f"{address}:{probe.port}", "User-Agent": "kube-probe/1.30", "Accept": "*/*"}
    lines = [f"GET {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | given).items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()
