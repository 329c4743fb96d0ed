"""What happens to pods while a cluster lives, and what a control plane then writes into EndpointSlices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.model import ClusterSpec, Endpoint, EndpointSlice, Service


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod as the control plane sees it: `is_removed` means that no EndpointSlice holds it any more."""

    is_ready: bool = True
    is_terminating: bool = False
    is_removed: bool = False


def written_state(cluster: ClusterSpec, pod: str) -> PodState:
    """Return the state that a cluster's manifests give to one of its pods (`namespace/name`)."""
    is_ready = next(one.ready for one in cluster.pods if one.key == pod)
    endpoints = (endpoint for piece in cluster.slices for endpoint in piece.endpoints if endpoint.pod == pod)
    return PodState(is_ready, any(endpoint.terminating for endpoint in endpoints))


def with_pod_states(cluster: ClusterSpec, states: Mapping[str, PodState]) -> ClusterSpec:
    """Return the cluster with these pods (`namespace/name`) in these states, and its slices as they follow.

    The rules are the endpoint slice controller's (k8s.io/endpointslice v0.30): ready means ready and not
    terminating, or that the Service publishes addresses that are not ready; serving is the pod's readiness.
    Slices of Services without a selector are someone else's and stay as they are.
    """
    services = {(service.namespace, service.name): service for service in cluster.services}
    return replace(
        cluster,
        pods=tuple(
            replace(pod, ready=states[pod.key].is_ready) if pod.key in states else pod for pod in cluster.pods
        ),
        slices=tuple(
            _follow(one, services.get((one.namespace, one.service)), states) for one in cluster.slices
        ),
    )


def _follow(one: EndpointSlice, service: Service | None, states: Mapping[str, PodState]) -> EndpointSlice:
    if service is None or not service.selector:
        return one
    endpoints = (
        _endpoint(endpoint, states[endpoint.pod], service) if endpoint.pod in states else endpoint
        for endpoint in one.endpoints
        if endpoint.pod not in states or not states[endpoint.pod].is_removed
    )
    return replace(one, endpoints=tuple(endpoints))


def _endpoint(endpoint: Endpoint, state: PodState, service: Service) -> Endpoint:
    return replace(
        endpoint,
        ready=service.publishes_not_ready or (state.is_ready and not state.is_terminating),
        serving=state.is_ready,
        terminating=state.is_terminating,
    )
