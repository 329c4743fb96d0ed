"""networking.k8s.io/v1 Ingress, as far as the lab's balancer serves it: plain HTTP to Services."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from labkit.spec.fields import DnsLabel, Fields, Many, PortName, PortOrNone
from labkit.spec.objects import LoadBalancerStatus, Object


class ServiceBackendPort(Fields):
    """A port of a Service, by its number or its name."""

    number: PortOrNone = 0
    name: PortName | None = None


class ServiceBackend(Fields):
    """A Service in the Ingress's own namespace."""

    name: DnsLabel
    port: ServiceBackendPort = ServiceBackendPort()


class Backend(Fields):
    """Where requests go: a Service; `resource` is read to be refused."""

    service: ServiceBackend | None = None
    resource: Any = None


class HttpPath(Fields):
    """Which requests of a host go to a backend."""

    path: str = "/"
    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"]
    backend: Backend


class HttpRule(Fields):
    """The paths of a rule."""

    paths: Many[HttpPath] = ()


class IngressRule(Fields):
    """The paths of one host; "" is every host."""

    host: str = ""
    http: HttpRule = HttpRule()


class IngressSpec(Fields):
    """What an Ingress wants served; `tls` is read to say that it is not."""

    default_backend: Backend | None = None
    rules: Many[IngressRule] = ()
    tls: Many[Any] = ()


class IngressStatus(Fields):
    """The addresses that the Ingress's balancer has."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Ingress(Object):
    """networking.k8s.io/v1 Ingress."""

    api_version_read: ClassVar[str] = "networking.k8s.io/v1"
    spec: IngressSpec = Field(default=IngressSpec())
    status: IngressStatus = IngressStatus()
