"""Ingresses: those that have an address, with the node ports that their balancer forwards to.

The lab's balancer stands outside of the cluster, as a cloud's does: it reaches pods through node ports alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.ingressobjects import Backend, Ingress, ServiceBackendPort
    from labkit.spec.manifest import Item
    from labkit.spec.services import PlannedService

Path = tuple[str | int, ...]


def plan_ingresses(
    items: Sequence[Item[Ingress]], services: Sequence[PlannedService], findings: Findings
) -> tuple[model.Ingress, ...]:
    """Return the Ingresses with an address; what is wrong or not served goes to `findings`."""
    by_key = {planned.service.key: planned.service for planned in services}
    return tuple(
        model.Ingress(item.namespace, item.name, addresses, tuple(_Routes(item, by_key, findings).read()))
        for item in items
        if (addresses := _addresses(item, findings))
    )


def _addresses(item: Item[Ingress], findings: Findings) -> tuple[model.LoadBalancerIngress, ...]:
    given = item.object.status.load_balancer.ingress
    addresses = tuple(
        model.LoadBalancerIngress(entry.ip, entry.ip_mode) for entry in given if is_ipv4(entry.ip)
    )
    if not addresses:
        unserved = f"Ingress {item.name} is not served: status.loadBalancer.ingress names no IPv4 address"
        findings.warn(item.place(), unserved)
    elif item.object.spec.tls:
        plain = f"Ingress {item.name}: tls is not served, the lab's balancer speaks plain HTTP on port 80"
        findings.warn(item.place("spec", "tls"), plain)
    return addresses


class _Routes:
    """Reads the routes of one Ingress."""

    def __init__(self, item: Item[Ingress], services: dict[str, model.Service], findings: Findings) -> None:
        self.item = item
        self.services = services
        self.findings = findings

    def read(self) -> Iterator[model.IngressRoute]:
        """Yield the routes as they are written, the default backend last."""
        spec = self.item.object.spec
        for number, rule in enumerate(spec.rules):
            for index, path in enumerate(rule.http.paths):
                place = ("spec", "rules", number, "http", "paths", index, "backend")
                exact = path.path_type == "Exact"
                yield from self._route(rule.host, path.path or "/", path.backend, place, is_exact=exact)
        if spec.default_backend is not None:
            yield from self._route("", "", spec.default_backend, ("spec", "defaultBackend"), is_exact=False)
        elif not spec.rules:
            wrong = f"Ingress {self.item.name} serves nothing"
            self.findings.mistake(self.item.place("spec"), wrong, "write spec.defaultBackend or spec.rules")

    def _route(
        self, host: str, path: str, backend: Backend, place: Path, *, is_exact: bool
    ) -> Iterator[model.IngressRoute]:
        if backend.service is None or backend.resource is not None:
            wrong = "a backend is one Service in the lab" + (", not a resource" if backend.resource else "")
            self.findings.mistake(self.item.place(*place), wrong, "write service: with its name and port")
            return
        service = self.services.get(f"{self.item.namespace}/{backend.service.name}")
        if service is None:
            if ("Service", backend.service.name) not in self.findings.broken:
                wrong = f"there is no Service {backend.service.name!r} in namespace {self.item.namespace}"
                self._mistake((*place, "service", "name"), wrong, tuple(self.services))
            return
        port = _port_of(service, backend.service.port)
        if port is None:
            known = tuple(f"{one.port} {one.name}".strip() for one in service.ports)
            self._mistake((*place, "service", "port"), f"Service {service.name} has no such port", known)
            return
        if not port.node_port:
            unreached = f"Ingress {self.item.name} cannot reach Service {service.name}: it has no node port"
            self.findings.warn(self.item.place(*place), f"{unreached} (type: NodePort gives it one)")
        yield model.IngressRoute(host, path, is_exact, f"{service.key}:{port.port}", port.node_port)

    def _mistake(self, place: Path, wrong: str, known: tuple[str, ...]) -> None:
        self.findings.mistake(self.item.place(*place), wrong, f"there are: {', '.join(known) or 'none'}")


def _port_of(service: model.Service, wanted: ServiceBackendPort) -> model.ServicePort | None:
    return next(
        (
            port
            for port in service.ports
            if port.protocol == "TCP" and (port.port == wanted.number or (wanted.name or "-") == port.name)
        ),
        None,
    )
