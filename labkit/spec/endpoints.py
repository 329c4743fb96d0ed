"""EndpointSlices: those of the manifests as they are, and for the other Services those that their pods make.

The rules are the endpoint slice controller's (k8s.io/endpointslice v0.30) and, for slices of the manifests,
those of kube-proxy's own reader (pkg/proxy/endpointslicecache.go).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

from labkit.spec import model, objects
from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.manifest import Item
    from labkit.spec.scheduling import PlannedPod
    from labkit.spec.services import PlannedService

SERVICE_LABEL = "kubernetes.io/service-name"
LARGEST_SLICE = 100


def plan_slices(
    items: Sequence[Item[objects.EndpointSlice]],
    services: Sequence[PlannedService],
    pods: Sequence[PlannedPod],
    findings: Findings,
) -> tuple[model.EndpointSlice, ...]:
    """Return the slices of the manifests, then those of Services that select pods and have none there."""
    pod_at = {planned.pod.address: planned.pod.key for planned in pods}
    given = [read for item in items if (read := _read_slice(item, pod_at, findings))]
    _check_served(items, {planned.service.key: planned.service for planned in services}, findings)
    served = {(read.namespace, read.service) for read in given}
    taken = {(read.namespace, read.name) for read in given}
    made: list[model.EndpointSlice] = []
    for planned in services:
        service = planned.service
        if not service.selector or service.type == "ExternalName":
            continue
        selected = _selected(service, pods)
        if (service.namespace, service.name) not in served:
            _warn_about_targets(planned, selected, findings)
            made += _make_slices(planned, selected, taken)
    return (*given, *made)


def _read_slice(
    item: Item[objects.EndpointSlice], pod_at: Mapping[str, str], findings: Findings
) -> model.EndpointSlice | None:
    """Return a slice of a manifest; endpoints and ports that kube-proxy would pass over are left out."""
    given = item.object
    if given.address_type != "IPv4":
        findings.warn(item.place("addressType"), f"EndpointSlice {item.name} is ignored: the lab speaks IPv4")
        return None
    if not given.metadata.labels.get(SERVICE_LABEL):
        findings.warn(
            item.place("metadata"),
            f"EndpointSlice {item.name} serves no Service: label {SERVICE_LABEL} is missing",
        )
    endpoints = []
    for index, endpoint in enumerate(given.endpoints):
        address = endpoint.addresses[0] if endpoint.addresses else ""
        if not address:
            findings.warn(item.place("endpoints", index), "an endpoint without an address is passed over")
        elif not is_ipv4(address):
            findings.mistake(
                item.place("endpoints", index, "addresses", 0),
                f"{address!r} is not an IPv4 address",
                "write four numbers of 0-255, such as 10.244.1.7",
            )
        else:
            endpoints.append(_read_endpoint(endpoint, address, item.namespace, pod_at))
    ports = (model.EndpointPort(port.name, port.protocol, port.port) for port in given.ports if port.port)
    labels = given.metadata.labels
    service = labels.get(SERVICE_LABEL, "")
    return model.EndpointSlice(item.namespace, item.name, service, tuple(ports), tuple(endpoints), labels)


def _check_served(
    items: Sequence[Item[objects.EndpointSlice]], services: Mapping[str, model.Service], findings: Findings
) -> None:
    """Find slices of Services that are not there, and ports that their Service does not have."""
    for item in items:
        name = item.object.metadata.labels.get(SERVICE_LABEL, "")
        service = services.get(f"{item.namespace}/{name}")
        if service is not None:
            _check_served_ports(item, service, findings)
        elif name and ("Service", name) not in findings.broken:
            findings.warn(
                item.place("metadata", "labels", SERVICE_LABEL),
                f"EndpointSlice {item.name} serves no Service: there is no {item.namespace}/{name}",
            )


def _check_served_ports(
    item: Item[objects.EndpointSlice], service: model.Service, findings: Findings
) -> None:
    offered = {(port.name, port.protocol) for port in service.ports}
    for index, port in enumerate(item.object.ports):
        if port.port and offered and (port.name, port.protocol) not in offered:
            listed = ", ".join(_port_text(*one) for one in sorted(offered))
            findings.mistake(
                item.place("ports", index),
                f"Service {service.key} has no port {_port_text(port.name, port.protocol)}",
                f"a slice's ports have the name and protocol of the Service's: {listed}",
            )


def _port_text(name: str, protocol: str) -> str:
    return f"{name or '(no name)'}/{protocol}"


def _read_endpoint(
    endpoint: objects.Endpoint, address: str, namespace: str, pod_at: Mapping[str, str]
) -> model.Endpoint:
    target = endpoint.target_ref
    named = f"{target.namespace or namespace}/{target.name}" if target.kind == "Pod" and target.name else ""
    return model.Endpoint(
        address=address,
        ready=endpoint.conditions.ready,
        serving=endpoint.conditions.serving,
        terminating=endpoint.conditions.terminating,
        node=endpoint.node_name,
        pod=pod_at.get(address, named),
        zone_hints=tuple(zone.name for zone in endpoint.hints.for_zones),
    )


def _selected(service: model.Service, pods: Sequence[PlannedPod]) -> list[PlannedPod]:
    wanted = service.selector.items()
    return [
        pod for pod in pods if pod.pod.namespace == service.namespace and wanted <= pod.pod.labels.items()
    ]


def _make_slices(
    planned: PlannedService, selected: Sequence[PlannedPod], taken: set[tuple[str, str]]
) -> Iterator[model.EndpointSlice]:
    """Yield slices of at most LARGEST_SLICE endpoints, one kind of pod in each: named ports may differ."""
    service = planned.service
    groups: dict[tuple[model.EndpointPort, ...], list[model.Endpoint]] = defaultdict(list)
    for pod in selected:
        groups[_ports_on(service, pod.pod)].append(_endpoint(pod, service))
    numbers = count(1)
    for ports, endpoints in groups.items():
        for start in range(0, len(endpoints), LARGEST_SLICE):
            name = next(
                name
                for number in numbers
                if (service.namespace, name := f"{service.name}-{number}") not in taken
            )
            taken.add((service.namespace, name))
            part = tuple(endpoints[start : start + LARGEST_SLICE])
            yield model.EndpointSlice(service.namespace, name, service.name, ports, part)


def _endpoint(planned: PlannedPod, service: model.Service) -> model.Endpoint:
    pod = planned.pod
    return model.Endpoint(
        address=pod.address,
        ready=service.publishes_not_ready or (pod.ready and not planned.terminating),
        serving=pod.ready,
        terminating=planned.terminating,
        node=pod.node,
        pod=pod.key,
    )


def _ports_on(service: model.Service, pod: model.Pod) -> tuple[model.EndpointPort, ...]:
    """Return the Service's ports as they are on a pod; one that the pod does not have is left out."""
    found = ((port, _target_on(port, pod)) for port in service.ports)
    return tuple(model.EndpointPort(port.name, port.protocol, number) for port, number in found if number)


def _target_on(port: model.ServicePort, pod: model.Pod) -> int:
    if isinstance(port.target_port, int):
        return port.target_port
    named = (
        declared.port
        for declared in pod.ports
        if (declared.name, declared.protocol) == (port.target_port, port.protocol)
    )
    return next(named, 0)


def _warn_about_targets(planned: PlannedService, selected: Sequence[PlannedPod], findings: Findings) -> None:
    service, item = planned.service, planned.item
    if not selected:
        wanted = ",".join(f"{key}={value}" for key, value in service.selector.items())
        findings.warn(
            item.place("spec", "selector"),
            f"Service {service.name} selects no pod: none in namespace {service.namespace} has {wanted}",
        )
        return
    for index, port in enumerate(service.ports):
        if not any(_target_on(port, pod.pod) for pod in selected):
            findings.warn(
                item.place("spec", "ports", index, "targetPort"),
                f"no pod of Service {service.name} has a {port.protocol} port named {port.target_port}",
            )
