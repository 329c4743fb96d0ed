"""Readiness probes: those of a pod's containers that the lab runs, and a word about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec import model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.objects import Container, Object, PodSpec
    from labkit.spec.probeobjects import HttpGet, ReadinessProbe

HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
DEFAULT_PERIOD_S, DEFAULT_TIMEOUT_S, DEFAULT_SUCCESSES, DEFAULT_FAILURES = 10, 1, 1, 3


def read_probes(
    item: Item[Object], path: tuple[str, ...], spec: PodSpec, findings: Findings
) -> tuple[model.Probe, ...]:
    """Return the readiness probes to run for the pod spec at `path`; the rest goes to `findings`."""
    probes = []
    for index, container in enumerate(spec.containers):
        if container.readiness_probe is not None:
            place: tuple[str | int, ...] = (*path, "containers", index, "readinessProbe")
            probe = _read_probe(item, place, container.readiness_probe, spec.containers, findings)
            probes += [probe] if probe else []
    return tuple(probes)


def _read_probe(
    item: Item[Object],
    path: tuple[str | int, ...],
    probe: ReadinessProbe,
    containers: Sequence[Container],
    findings: Findings,
) -> model.Probe | None:
    """Return one probe, or None where it is not run (said as a warning) or wrong (a mistake)."""
    given = dict(zip(HANDLERS, (probe.http_get, probe.tcp_socket, probe.exec, probe.grpc), strict=True))
    named = [name for name, handler in given.items() if handler is not None]
    if len(named) != 1:
        wrong = f"a probe has one handler, not {' and '.join(named) or 'none'}"
        findings.mistake(item.place(*path), wrong, f"write one of {', '.join(HANDLERS)}")
        return None
    why = _why_not_run(probe)
    if why:
        findings.warn(item.place(*path), f"{item.kind} {item.name}: this readinessProbe is not run: {why}")
        return None
    handler = probe.http_get or probe.tcp_socket
    port = _port_number(handler.port, containers) if handler else 0
    if not port:
        wrong = f"no container has a TCP port named {handler.port if handler else ''}"
        findings.mistake(item.place(*path, named[0], "port"), wrong, "name it under ports, or write a number")
        return None
    return _timed(probe, port)


def _why_not_run(probe: ReadinessProbe) -> str:
    if probe.exec is not None or probe.grpc is not None:
        kind = "exec" if probe.exec is not None else "grpc"
        return f"{kind} asks the container's own program, and the lab runs its own server in its place"
    if probe.http_get is not None and probe.http_get.scheme == "HTTPS":
        return "httpGet over HTTPS, and the lab's pods speak plain HTTP"
    handler = probe.http_get or probe.tcp_socket
    return f"it asks another host, {handler.host}" if handler and handler.host else ""


def _port_number(port: int | str, containers: Sequence[Container]) -> int:
    if isinstance(port, int):
        return port
    declared = (one for container in containers for one in container.ports)
    return next((one.container_port for one in declared if (one.name, one.protocol) == (port, "TCP")), 0)


def _timed(probe: ReadinessProbe, port: int) -> model.Probe:
    """Return the probe with the API's defaults (pkg/apis/core/v1/defaults.go: 0 counts as unset)."""
    return model.Probe(
        kind="http" if probe.http_get else "tcp",
        port=port,
        path=_path(probe.http_get),
        headers=tuple((one.name, one.value) for one in probe.http_get.http_headers) if probe.http_get else (),
        initial_delay_s=probe.initial_delay_seconds,
        period_s=probe.period_seconds or DEFAULT_PERIOD_S,
        timeout_s=probe.timeout_seconds or DEFAULT_TIMEOUT_S,
        success_threshold=probe.success_threshold or DEFAULT_SUCCESSES,
        failure_threshold=probe.failure_threshold or DEFAULT_FAILURES,
    )


def _path(http_get: HttpGet | None) -> str:
    path = http_get.path if http_get else "/"
    return path if path.startswith("/") else f"/{path}"
