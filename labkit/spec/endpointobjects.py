"""v1 Endpoints: who stands behind a Service without a selector, as people wrote it before EndpointSlices."""

from __future__ import annotations

from typing import ClassVar

from labkit.spec.fields import Fields, Many
from labkit.spec.objects import EndpointPort, Object, TargetReference


class EndpointAddress(Fields):
    """One address of a subset."""

    ip: str
    node_name: str = ""
    target_ref: TargetReference = TargetReference()


class EndpointSubset(Fields):
    """Addresses that all have the same ports."""

    addresses: Many[EndpointAddress] = ()
    not_ready_addresses: Many[EndpointAddress] = ()
    ports: Many[EndpointPort] = ()


class Endpoints(Object):
    """v1 Endpoints, named as their Service."""

    api_version_read: ClassVar[str] = "v1"
    subsets: Many[EndpointSubset] = ()
