"""What changed in a cluster, and which Services that touches: pure, kube-proxy's change trackers.

kube-proxy never sees a whole cluster: its watches tell it of single Services and EndpointSlices (v1.30,
pkg/proxy/servicechangetracker.go, endpointschangetracker.go). `ClusterChanges` are what they tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.spec.model import ClusterSpec, EndpointSlice, Service

Slices = tuple["EndpointSlice", ...]
_NO_SERVICES: Mapping[str, Service | None] = MappingProxyType({})
_NO_SLICES: Mapping[str, Slices] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClusterChanges:
    """What is new, different or gone, by the Service's `namespace/name`.

    `services` has a Service as it is now, or None for one that is gone; `slices` all EndpointSlices that a
    Service has now.
    """

    services: Mapping[str, Service | None] = field(default_factory=lambda: _NO_SERVICES)
    slices: Mapping[str, Slices] = field(default_factory=lambda: _NO_SLICES)

    @property
    def touched(self) -> tuple[str, ...]:
        """The Services that any change is about."""
        return tuple(dict.fromkeys((*self.services, *self.slices)))


class TrackedCluster:
    """A cluster's Services with their EndpointSlices, kept by Service and changed piece by piece."""

    def __init__(self, cluster: ClusterSpec) -> None:
        """Begin with `cluster`."""
        self._spec = cluster
        self._is_current = True  # whether `_spec` is what the two mappings say
        self.services = {service.key: service for service in cluster.services}
        self.slices = _by_service(cluster.slices)

    @property
    def spec(self) -> ClusterSpec:
        """The cluster as it is now."""
        if not self._is_current:
            every = (one for slices in self.slices.values() for one in slices)
            self._spec = replace(self._spec, services=tuple(self.services.values()), slices=tuple(every))
            self._is_current = True
        return self._spec

    def slices_of(self, service: str) -> Slices:
        """Return the EndpointSlices of a Service."""
        return self.slices.get(service, ())

    def become(self, cluster: ClusterSpec) -> ClusterChanges:
        """Be `cluster` from now on and return what that changes.

        Values are told apart by identity before they are compared: what a caller kept costs next to nothing.
        """
        services: dict[str, Service | None] = {}
        slices: dict[str, Slices] = {}
        if cluster.services is not self.spec.services:
            wanted = {service.key: service for service in cluster.services}
            services = {key: one for key, one in wanted.items() if _differ(self.services.get(key), one)}
            services.update((key, None) for key in self.services if key not in wanted)
            self.services = wanted
        if cluster.slices is not self.spec.slices:
            now = _by_service(cluster.slices)
            slices = {key: some for key, some in now.items() if self.slices.get(key) != some}
            slices.update((key, ()) for key in self.slices if key not in now)
            self.slices = now
        self._spec, self._is_current = cluster, True
        return ClusterChanges(services, slices)

    def apply(self, changes: ClusterChanges) -> None:
        """Take over what changed."""
        for key, service in changes.services.items():
            if service is None:
                self.services.pop(key, None)
            else:
                self.services[key] = service
        for key, slices in changes.slices.items():
            if slices:
                self.slices[key] = slices
            else:
                self.slices.pop(key, None)
        self._is_current = False


def _by_service(slices: Iterable[EndpointSlice]) -> dict[str, Slices]:
    found: dict[str, list[EndpointSlice]] = {}
    for one in slices:
        found.setdefault(f"{one.namespace}/{one.service}", []).append(one)
    return {key: tuple(some) for key, some in found.items()}


def _differ(held: object, wanted: object) -> bool:
    return held is not wanted and held != wanted
