"""The health check node ports of a node: how a load balancer finds the nodes that have local endpoints.

kube-proxy answers on the healthCheckNodePort of each Service of type LoadBalancer with externalTrafficPolicy
Local: 200 where the node has ready endpoints of the Service, 503 where it has none (Kubernetes v1.30,
pkg/proxy/healthcheck/service_health.go). Any request is answered, whatever its method and path.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from labkit.errors import ProgramError
from labkit.proxy.services import forwarded_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.settings import NodeSettings
    from labkit.spec.model import ClusterSpec

MOST_REQUEST_BYTES = 1 << 14
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What a node says about one Service: `local_endpoints` are its ready ones on this node, by address."""

    namespace: str
    name: str
    port: int
    local_endpoints: int

    @property
    def status(self) -> HTTPStatus:
        """200 where there are local endpoints, else 503."""
        return HTTPStatus.OK if self.local_endpoints else HTTPStatus.SERVICE_UNAVAILABLE


def plan_health_checks(cluster: ClusterSpec, settings: NodeSettings) -> tuple[HealthCheck, ...]:
    """Return what the node answers on each health check node port, in the order of the Services."""
    addresses: dict[tuple[str, int], set[str]] = {}
    for port in forwarded_ports(cluster, settings):
        if port.health_port:
            ready = addresses.setdefault((port.service, port.health_port), set())
            ready.update(one.address for one in port.every if one.local and one.ready)
    named = ((*service.partition("/")[::2], port, len(ready)) for (service, port), ready in addresses.items())
    return tuple(HealthCheck(*one) for one in named)


def health_response(check: HealthCheck, *, proxy_healthy: bool = True) -> bytes:
    """Return the HTTP response: status, the weight that a balancer may use, and the JSON body."""
    body = json.dumps(
        {
            "service": {"namespace": check.namespace, "name": check.name},
            "localEndpoints": check.local_endpoints,
            "serviceProxyHealthy": proxy_healthy,
        },
        indent="\t",
    )
    status = check.status if proxy_healthy else HTTPStatus.SERVICE_UNAVAILABLE
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"X-Load-Balancing-Endpoint-Weight: {check.local_endpoints}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


class HealthCheckServer:
    """Answers on the health check node ports of all nodes, from one thread. A context manager."""

    def __init__(self) -> None:
        """Start the thread; nothing is answered before `update`."""
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._ports: dict[tuple[str, str, int], socket.socket] = {}
        self._checks: dict[int, HealthCheck] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._visitors: dict[int, tuple[socket.socket, HealthCheck]] = {}
        self._ended = socket.socketpair()
        self._epoll.register(self._ended[0], select.EPOLLIN)
        self._thread = threading.Thread(target=self._live, name="health check node ports", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(
        self, namespace: Namespace, checks: Iterable[HealthCheck], addresses: Sequence[str] = ("",)
    ) -> None:
        """Answer for `checks` on these addresses ("": all) of a node, and no longer for others there.

        Raises ProgramError where a port is taken.
        """
        wanted = {(namespace.name, address, one.port): one for one in checks for address in addresses}
        with self._lock:
            for place in [place for place in self._ports if place[0] == namespace.name]:
                if place not in wanted:
                    self._forget(place)
            for place, check in wanted.items():
                if place not in self._ports:
                    self._ports[place] = _listen(namespace, place[1], check)
                    descriptor = self._ports[place].fileno()
                    self._listeners[descriptor] = self._ports[place]
                    self._epoll.register(descriptor, select.EPOLLIN)
                self._checks[self._ports[place].fileno()] = check

    def close(self) -> None:
        """Stop answering. A second call does nothing."""
        if self._epoll.closed:
            return
        self._ended[1].close()
        self._thread.join(PATIENCE_S)
        for place in list(self._ports):
            self._forget(place)
        for visitor, _ in self._visitors.values():
            visitor.close()
        self._ended[0].close()
        self._epoll.close()

    def _forget(self, place: tuple[str, str, int]) -> None:
        listener = self._ports.pop(place)
        del self._listeners[listener.fileno()], self._checks[listener.fileno()]
        listener.close()

    def _live(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._ended[0].fileno():
                    return
                with self._lock:
                    self._serve(descriptor)

    def _serve(self, descriptor: int) -> None:
        """Accept a visitor, or answer one and close: whoever asks is asked nothing."""
        with contextlib.suppress(OSError):
            if descriptor in self._listeners:
                visitor, _ = self._listeners[descriptor].accept()
                visitor.settimeout(0)
                self._visitors[visitor.fileno()] = visitor, self._checks[descriptor]
                self._epoll.register(visitor, select.EPOLLIN)
            elif descriptor in self._visitors:
                visitor, check = self._visitors.pop(descriptor)
                with visitor:
                    if visitor.recv(MOST_REQUEST_BYTES):
                        visitor.send(health_response(check))


def _listen(namespace: Namespace, address: str, check: HealthCheck) -> socket.socket:
    def listen() -> socket.socket:
        return socket.create_server((address, check.port))

    try:
        listener = namespace.run(listen)
    except OSError as error:
        raise ProgramError(
            f"the health check node port {check.port} cannot be opened: {error.strerror}",
            where=f"node {namespace.name}, Service {check.namespace}/{check.name}",
            todo="give the Service another healthCheckNodePort, or end the program that listens there",
        ) from error
    listener.settimeout(0)
    return listener
