"""What the lab adds to IPVS mode: a scheduler for one Service, weights for single pods.

kube-proxy has neither: it gives every virtual server of a node the one configured scheduler, and every real
server weight 1 (0 while it drains), so that wrr equals rr and wlc equals lc. Without an extension a plan is
kube-proxy's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.spec.schedulers import SCHEDULER_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.model import ClusterSpec

MAX_WEIGHT = 65535
_NO_SCHEDULERS: Mapping[str, str] = MappingProxyType({})
_NO_WEIGHTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Extension:
    """Schedulers by Service (`namespace/name`), weights by endpoint address; the rest is kube-proxy's."""

    schedulers: Mapping[str, str] = field(default_factory=lambda: _NO_SCHEDULERS)
    weights: Mapping[str, int] = field(default_factory=lambda: _NO_WEIGHTS)


NO_EXTENSION = Extension()


def lab_extension(
    cluster: ClusterSpec,
    schedulers: Mapping[str, str] = _NO_SCHEDULERS,
    weights: Mapping[str, int] = _NO_WEIGHTS,
) -> Extension:
    """Return the cluster's own annotations and pod weights, with `schedulers` and `weights` over them.

    `schedulers` maps `namespace/service` to a scheduler's name, `weights` maps `namespace/pod` to 0..65535
    (0: no new connections). Raises RequestError for a Service or pod that the cluster does not have, and
    for other weights.
    """
    services = {
        service.key: service.annotations.get(SCHEDULER_ANNOTATION, "") for service in cluster.services
    }
    pods = {pod.key: pod.weight for pod in cluster.pods}
    _refuse_unknown("Service", schedulers, services)
    _refuse_unknown("pod", weights, pods)
    services.update(schedulers)
    pods.update(weights)
    for key, weight in pods.items():
        if not 0 <= weight <= MAX_WEIGHT:
            raise RequestError(
                f"weight {weight} cannot be given to a real server",
                where=f"pod {key}",
                todo=f"use 0 to {MAX_WEIGHT}",
            )
    return Extension(
        schedulers={key: scheduler for key, scheduler in services.items() if scheduler},
        weights={pod.address: pods[pod.key] for pod in cluster.pods if pods[pod.key] != 1},
    )


def _refuse_unknown(kind: str, asked: Mapping[str, object], known: Mapping[str, object]) -> None:
    for key in asked:
        if key not in known:
            todo = "use one of: " + ", ".join(sorted(known)) if known else f"the cluster has no {kind}"
            raise RequestError(f"no {kind} {key} in the cluster", todo=todo)
