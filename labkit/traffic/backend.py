"""Backends: every pod of a cluster answers, over TCP and UDP, and says who it is.

One process (`server.py`) serves all pods: a socket stays in the network namespace it was made in, so the
listening sockets are made in each pod's namespace and handed over. It answers `curl`, too:

    pod=shop/web-1 node=node-1 address=10.244.0.3:8080 peer=10.244.0.128:10417
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import labkit
from labkit.errors import RequestError, TrafficError
from labkit.traffic.server import MESSAGE_BYTES, MOST_SOCKETS_PER_MESSAGE
from labkit.traffic.workload import ANY_POD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.spec.model import ClusterSpec

REPLY_TIMEOUT_S = 30.0
LISTEN_BACKLOG = 4096
PODS_UNDER_WAY = 64  # opened without waiting for the reply: more could fill the line
SOCKET_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
START = """
import sys
sys.path.insert(0, sys.argv[1])
from labkit.traffic.server import main
main(int(sys.argv[2]))
"""


Port = tuple[Literal["TCP", "UDP"], int]


@dataclass(frozen=True, slots=True)
class PodPorts:
    """A pod and the ports it is to answer on, sorted."""

    pod: str
    node: str
    address: str
    ports: tuple[Port, ...]


def plan_pod_ports(cluster: ClusterSpec) -> tuple[PodPorts, ...]:
    """Return on which ports the pods of `cluster` answer: those of containers, probes or EndpointSlices.

    SCTP is left out. Endpoints whose address no pod has (they are outside the lab) are left out too.
    """
    ports: dict[str, set[Port]] = {pod.address: set() for pod in cluster.pods}
    for pod in cluster.pods:
        for declared in pod.ports:
            if declared.protocol != "SCTP":
                ports[pod.address].add((declared.protocol, declared.port))
        ports[pod.address].update(("TCP", probe.port) for probe in pod.probes)
    for piece in cluster.slices:
        for endpoint, named in itertools.product(piece.endpoints, piece.ports):
            if endpoint.address in ports and named.protocol != "SCTP":
                ports[endpoint.address].add((named.protocol, named.port))
    # Pods on their node's own network share its address: the first one answers there.
    owners = {pod.address: pod for pod in reversed(cluster.pods)}
    return tuple(
        PodPorts(pod.key, pod.node, pod.address, tuple(sorted(ports[pod.address])))
        for pod in cluster.pods
        if owners[pod.address] is pod
    )


class Backends:
    """The process that answers for the pods. A context manager; `close()` leaves nothing behind.

    Its methods raise TrafficError as soon as the process has died, with its last words.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line = ours
        self._line.settimeout(REPLY_TIMEOUT_S)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        self._tickets = itertools.count()
        self._taking_turns = threading.RLock()  # a pod may be killed while another thread measures
        self._pods: dict[str, tuple[PodPorts, Namespace]] = {}
        self._service_ms: Mapping[str, float] = {}
        self._words = os.memfd_create("last words")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START, str(import_root()), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pods(self) -> tuple[str, ...]:
        """The names of the pods it answers for."""
        return tuple(self._pods)

    @property
    def pid(self) -> int:
        """The process that answers."""
        return self._process.pid

    def open(self, pods: Iterable[tuple[PodPorts, Namespace]]) -> None:
        """Let pods answer from their namespaces; they do when this returns. TrafficError for a taken port."""
        with self._taking_turns:
            for number, (pod, namespace) in enumerate(pods, 1):
                for ports in _portions(pod.ports):
                    ticket = self._open(pod, namespace, ports)
                self._pods[pod.pod] = (pod, namespace)
                if number % PODS_UNDER_WAY == 0:
                    self._reply_to(ticket)
            self._order("count")

    def _open(self, pod: PodPorts, namespace: Namespace, ports: Sequence[Port]) -> int:
        opened = namespace.run(lambda: _listen(pod, ports))
        identity = {"name": pod.pod, "node": pod.node, "address": pod.address}
        try:
            return self._send("open", opened, pod=identity, ports=ports)
        finally:
            for one in opened:
                one.close()

    @property
    def service_ms(self) -> Mapping[str, float]:
        """The service times that were set last."""
        return self._service_ms

    def set_service_times(self, service_ms: Mapping[str, float]) -> None:
        """Let each request take this long from now on, by pod name or "*" for all others.

        A pod that is not named takes no time. Raises RequestError for a pod that it does not serve.
        """
        for name in service_ms:
            if name != ANY_POD:
                self._require(name)
        rest_ms = service_ms.get(ANY_POD, 0.0)
        durations = {name: round(service_ms.get(name, rest_ms) * 1e6) for name in self._pods}
        self._order("pace", service_ns=durations)
        self._service_ms = dict(service_ms)

    def kill(self, pod: str) -> None:
        """Let a pod's program die: new connections are refused, open ones reset. Its network stays up."""
        self._require(pod)
        self._order("kill", pod=pod)

    def revive(self, pod: str) -> None:
        """Let a killed pod answer again."""
        ports, namespace = self._require(pod)
        self._order("kill", pod=pod)
        self.open([(ports, namespace)])

    def drop_queues(self) -> None:
        """Break off whatever waits at a pod or is being served, so that the next run finds none of it."""
        self._order("drop")

    def answered(self) -> Mapping[str, int]:
        """Return how many requests each pod has answered since it was opened."""
        counts: dict[str, int] = self._order("count")
        return counts

    def received(self) -> Mapping[str, int]:
        """Return how many requests have joined each pod's queue since it was opened, answered or not."""
        counts: dict[str, int] = self._order("received")
        return counts

    def check(self) -> None:
        """Raise TrafficError if the process has died."""
        self._order("count")

    def close(self) -> None:
        """End the process and wait for its end. A second call does nothing."""
        if self._words < 0:
            return
        self._line.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._words)
        self._words = -1

    def _require(self, pod: str) -> tuple[PodPorts, Namespace]:
        try:
            return self._pods[pod]
        except KeyError:
            some = ", ".join(sorted(self._pods)[:5]) or "none"
            raise RequestError(
                f"no pod {pod!r} answers here",
                where="backends",
                todo=f"pods are named namespace/name: {some}",
            ) from None

    def _order(self, order: str, **details: object) -> Any:
        with self._taking_turns:
            return self._reply_to(self._send(order, (), **details))

    def _send(self, order: str, opened: Sequence[socket.socket], **details: object) -> int:
        if self._words < 0:
            raise TrafficError("the backends are closed", todo="open the lab again")
        ticket = next(self._tickets)
        message = json.dumps({"ticket": ticket, "order": order, **details}).encode()
        with self._watched():
            socket.send_fds(self._line, [message], [one.fileno() for one in opened])
        return ticket

    def _reply_to(self, ticket: int) -> Any:
        with self._watched():
            while message := self._line.recv(MESSAGE_BYTES):
                reply = json.loads(message)
                if reply["ticket"] == ticket:  # nobody waited for those before it, or an interrupt ended that
                    return reply["reply"]
        raise self._death()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise TrafficError(
                f"the backends' process {self.pid} does not answer", todo="close the lab and open it again"
            ) from None
        except ConnectionError:
            raise self._death() from None

    def _death(self) -> TrafficError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        words = os.pread(self._words, 4096, 0).decode("utf-8", "replace").strip().splitlines()
        return TrafficError(
            f"the process that answers for the pods died (status {self._process.returncode})",
            where=words[-1] if words else f"process {self.pid}, without a word",
            todo="close the lab and open it again",
        )


def build_backends(pods: Iterable[tuple[PodPorts, Namespace]]) -> Backends:
    """Start a process and let every pod answer from its namespace; nothing stays if one cannot."""
    backends = Backends()
    try:
        backends.open(pods)
    except BaseException:
        backends.close()
        raise
    return backends


def _listen(pod: PodPorts, ports: Sequence[Port]) -> list[socket.socket]:
    """Make the sockets of `ports`, in the caller's network namespace."""
    opened: list[socket.socket] = []
    try:
        for protocol, port in ports:
            opened.append(socket.socket(socket.AF_INET, SOCKET_KINDS[protocol] | socket.SOCK_NONBLOCK))
            _bind(opened[-1], pod, protocol, port)
    except BaseException:
        for one in opened:
            one.close()
        raise
    return opened


def _bind(unbound: socket.socket, pod: PodPorts, protocol: str, port: int) -> None:
    try:
        if protocol == "TCP":
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            unbound.bind(("", port))
            unbound.listen(LISTEN_BACKLOG)
        else:
            # Bound to the pod's one address, so that an answer leaves from where the question went.
            unbound.bind((pod.address, port))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise TrafficError(
            f"pod {pod.pod} cannot answer on port {port}/{protocol}: {error.strerror}",
            where=f"{pod.address}:{port}",
            todo="end the program that listens there" if taken else "look at the pod's address: ip address",
        ) from error


def _portions(ports: Sequence[Port]) -> list[Sequence[Port]]:
    size = MOST_SOCKETS_PER_MESSAGE
    return [ports[start : start + size] for start in range(0, max(len(ports), 1), size)]


def import_root() -> Path:
    """Return the folder that a process started without site-packages imports labkit from."""
    return Path(labkit.__file__).resolve().parent.parent
