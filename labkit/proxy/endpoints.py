"""The endpoints of one service port, and which of them traffic may reach from this node.

The choice follows Kubernetes v1.30 (pkg/proxy/topology.go, CategorizeEndpoints): readiness, then
termination as a last resort, the traffic policies, and the zone hints of topology-aware routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.proxy.names import endpoint_name

if TYPE_CHECKING:
    from labkit.spec.model import Endpoint


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """One endpoint of a service port; `name` is `address:port`, `local` means on this node."""

    name: str
    address: str
    port: int
    ready: bool
    dying_but_serving: bool
    local: bool
    zone_hints: tuple[str, ...]
    pod: str

    @classmethod
    def of(cls, endpoint: Endpoint, port: int, node: str) -> ServiceEndpoint:
        """Return `endpoint` at `port`, as seen from `node`."""
        return cls(
            name=endpoint_name(endpoint.address, port),
            address=endpoint.address,
            port=port,
            ready=endpoint.ready,
            dying_but_serving=endpoint.serving and endpoint.terminating,
            local=endpoint.node == node,
            zone_hints=endpoint.zone_hints,
            pod=endpoint.pod,
        )


Endpoints = tuple[ServiceEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A service port's endpoints and what its policies need; `zone` is "" unless hints count."""

    every: Endpoints
    uses_cluster: bool
    uses_local: bool
    zone: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The endpoints for policy Cluster, for Local, for either; `has_any` looks beyond node and zone."""

    cluster: Endpoints
    local: Endpoints
    reachable: Endpoints
    has_any: bool


def choose_endpoints(candidates: Candidates) -> Chosen:
    """Return which endpoints each policy may use."""
    every, zone = candidates.every, candidates.zone
    ready = tuple(one for one in every if one.ready)
    dying = tuple(one for one in every if one.dying_but_serving)
    follows_hints = candidates.uses_cluster and _hints_usable(ready, zone)
    cluster: Endpoints = ()
    if candidates.uses_cluster:
        cluster = tuple(one for one in ready if zone in one.zone_hints) if follows_hints else ready
        cluster = cluster or dying
    if not candidates.uses_local:
        return Chosen(cluster, (), cluster, has_any=bool(cluster))
    local = tuple(one for one in ready if one.local)
    fell_back = not local
    if fell_back:
        local = tuple(one for one in dying if one.local)
    has_any = bool(cluster or ready or dying)
    if not candidates.uses_cluster:
        reachable = local
    elif not follows_hints and not fell_back:
        reachable = cluster
    else:
        wanted = {one.name for one in (*cluster, *local)}
        reachable = tuple(one for one in every if one.name in wanted)
    return Chosen(cluster, local, reachable, has_any)


def _hints_usable(ready: Endpoints, zone: str) -> bool:
    # One ready endpoint without a hint means that the control plane is still at work: then none are followed.
    return (
        bool(zone) and all(one.zone_hints for one in ready) and any(zone in one.zone_hints for one in ready)
    )
