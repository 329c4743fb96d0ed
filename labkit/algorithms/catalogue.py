"""All schedulers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.algorithms.caching import LocalityLeastConnection, ReplicatedLocality
from labkit.algorithms.chance import PowerOfTwo, RandomChoice
from labkit.algorithms.counting import (
    Failover,
    LeastConnection,
    NeverQueue,
    Overflow,
    ShortestExpectedDelay,
    WeightedLeastConnection,
)
from labkit.algorithms.hashing import DestinationHashing, MaglevHashing, SourceHashing
from labkit.algorithms.rotating import RoundRobin, WeightedRoundRobin
from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.algorithms.servers import Scheduler

_MAKERS: tuple[type[Scheduler], ...] = (
    RandomChoice,
    RoundRobin,
    WeightedRoundRobin,
    LeastConnection,
    WeightedLeastConnection,
    Failover,
    Overflow,
    LocalityLeastConnection,
    ReplicatedLocality,
    DestinationHashing,
    SourceHashing,
    MaglevHashing,
    ShortestExpectedDelay,
    NeverQueue,
    PowerOfTwo,
)
SCHEDULERS: Mapping[str, Callable[[], Scheduler]] = {maker.name: maker for maker in _MAKERS}
"""What makes each scheduler: IPVS's fourteen by their names, and `random`, kube-proxy's own choice."""


def make_scheduler(name: str) -> Scheduler:
    """Return a new scheduler. Raises RequestError for a name that is none."""
    if name not in SCHEDULERS:
        raise RequestError(f"no scheduler is called {name!r}", todo=f"name one of: {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name]()
