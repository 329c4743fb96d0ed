"""A workload: which flows are sent, from where and when. Pure: the same seed gives the same plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Workload:
    """New connections to one Service port.

    `closed` arrivals keep `concurrency` connections open at a time; `poisson` ones come at `rate_per_s` whatever the
    backends do (so that a slow backend cannot hide its queue). `clients` counts the client addresses that take turns.
    `service_ms` is how long one request takes at a pod, by pod name (`namespace/name`) or "*" for all others; a pod serves one
    request at a time. `weights` are the real servers' weights (IPVS; the lab's extension), by pod name.
    """

    connections: int = 300
    arrivals: Literal["closed", "poisson"] = "closed"
    rate_per_s: float = 0.0
    concurrency: int = 8
    clients: int = 16
    service_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
