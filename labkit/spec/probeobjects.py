"""A container's readinessProbe, as the API defines it (core/v1 Probe) with its defaults and its limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from labkit.spec.fields import Fields, Many, PortReference

Seconds = Annotated[int, Field(ge=0, le=86_400)]


class HttpHeader(Fields):
    """A header that a probe sends."""

    name: str
    value: str = ""


class HttpGet(Fields):
    """A request that must be answered with a status of 200-399."""

    port: PortReference
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: str = ""
    http_headers: Many[HttpHeader] = ()


class TcpSocket(Fields):
    """A connection that must come about."""

    port: PortReference
    host: str = ""


class ReadinessProbe(Fields):
    """How a kubelet finds out whether a container is ready; 0 stands for the default, as in the API."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Any = None
    grpc: Any = None
    initial_delay_seconds: Seconds = 0
    period_seconds: Seconds = 10
    timeout_seconds: Seconds = 1
    success_threshold: Annotated[int, Field(ge=0, le=1_000)] = 1
    failure_threshold: Annotated[int, Field(ge=0, le=1_000)] = 3
