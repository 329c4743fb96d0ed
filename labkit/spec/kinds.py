"""The kinds of Kubernetes objects that the lab understands, by name."""

from __future__ import annotations

from labkit.spec.endpointobjects import Endpoints
from labkit.spec.ingressobjects import Ingress
from labkit.spec.objects import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Node,
    Object,
    Pod,
    ReplicaSet,
    Service,
    StatefulSet,
)

KINDS: dict[str, type[Object]] = {
    kind.__name__: kind
    for kind in (
        *(Node, Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet),
        *(Service, EndpointSlice, Endpoints, Ingress),
    )
}
