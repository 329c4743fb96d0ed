"""Endpoints -> EndpointSlices, for Services that select nothing: the rest are other controllers' work.

The rules are the mirroring controller's (pkg/controller/endpointslicemirroring, v1.30).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.ipv4 import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from labkit.spec.documents import Findings
    from labkit.spec.endpointobjects import EndpointAddress, Endpoints
    from labkit.spec.manifest import Item
    from labkit.spec.services import PlannedService

SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"


def mirror_endpoints(
    items: Sequence[Item[Endpoints]],
    services: Sequence[PlannedService],
    slices: Sequence[model.EndpointSlice],
    findings: Findings,
) -> tuple[model.EndpointSlice, ...]:
    """Return the slices of Services that have no selector, and none of the other `slices`."""
    by_key = {planned.service.key: planned.service for planned in services}
    served = {(one.namespace, one.service) for one in slices}
    return tuple(_mirrored(items, by_key, served, findings))


def _mirrored(
    items: Sequence[Item[Endpoints]],
    services: Mapping[str, model.Service],
    served: Collection[tuple[str, str]],
    findings: Findings,
) -> Iterator[model.EndpointSlice]:
    for item in items:
        metadata = item.object.metadata
        if metadata.labels.get(SKIP_LABEL) == "true" or LEADER_ANNOTATION in metadata.annotations:
            continue
        service = services.get(f"{item.namespace}/{item.name}")
        if service is None:
            if ("Service", item.name) not in findings.broken:
                missing = f"there is no {item.namespace}/{item.name}"
                findings.warn(
                    item.place("metadata", "name"), f"Endpoints {item.name} serve no Service: {missing}"
                )
        elif not service.selector and (item.namespace, item.name) not in served:
            yield from _slices(item, service, findings)


def _slices(
    item: Item[Endpoints], service: model.Service, findings: Findings
) -> Iterator[model.EndpointSlice]:
    numbers = count(1)
    for index, subset in enumerate(item.object.subsets):
        _check_ports(item, index, service, findings)
        ports = (model.EndpointPort(one.name, one.protocol, one.port) for one in subset.ports if one.port)
        listed = (
            *((one, True, "addresses", place) for place, one in enumerate(subset.addresses)),
            *(
                (one, False, "notReadyAddresses", place)
                for place, one in enumerate(subset.not_ready_addresses)
            ),
        )
        endpoints = []
        for address, ready, field, place in listed:
            if is_ipv4(address.ip):
                endpoints.append(_endpoint(address, item.namespace, ready=ready))
            elif ":" not in address.ip:  # IPv6 ones get a slice of their own, which IPv4 does not look at
                where = item.place("subsets", index, field, place, "ip")
                findings.mistake(
                    where, f"{address.ip!r} is not an IPv4 address", "write four numbers of 0-255"
                )
        name = f"{item.name}-{next(numbers)}"
        yield model.EndpointSlice(item.namespace, name, service.name, tuple(ports), tuple(endpoints))


def _check_ports(item: Item[Endpoints], index: int, service: model.Service, findings: Findings) -> None:
    offered = {(port.name, port.protocol) for port in service.ports}
    for place, port in enumerate(item.object.subsets[index].ports):
        if port.port and (port.name, port.protocol) not in offered:
            findings.mistake(
                item.place("subsets", index, "ports", place),
                f"Service {service.key} has no {port.protocol} port named {port.name or '(no name)'}",
                "the ports of Endpoints have the names and protocols of the Service's",
            )


def _endpoint(address: EndpointAddress, namespace: str, *, ready: bool) -> model.Endpoint:
    target = address.target_ref
    named = f"{target.namespace or namespace}/{target.name}" if target.kind == "Pod" and target.name else ""
    return model.Endpoint(address.ip, ready=ready, serving=ready, node=address.node_name, pod=named)
