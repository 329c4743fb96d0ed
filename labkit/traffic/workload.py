"""A workload: which flows are sent, from where and when. Pure: the same seed gives the same plan."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping  # noqa: TC003  measure/schema.py reads the annotations at run time
from dataclasses import dataclass, field
from itertools import cycle, repeat
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Arrivals = Literal["closed", "poisson"]
ANY_POD = "*"
MOST_WEIGHT = 65535  # what ipvsadm(8) allows
MOST_COUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """New connections to one Service port.

    `closed` arrivals keep `concurrency` connections open at a time; `poisson` ones come at `rate_per_s`
    whatever the backends do (so that a slow backend cannot hide its queue), `burst` of them at the same
    moment. A part of the connections, `long_share` (0 to 1), is long: its request takes a pod `long_times`
    its service time. `clients` counts the client
    addresses that take turns. A flow that has no whole answer `timeout_s` after its start is given up.
    `service_ms` is how long one request takes at a pod, by pod name (`namespace/name`) or "*" for all others;
    a pod serves one request at a time. `weights` are the real servers' weights (IPVS; the lab's extension),
    by pod name. Raises RequestError for values that no run can have.
    """

    connections: int = 300
    arrivals: Arrivals = "closed"
    rate_per_s: float = 0.0
    concurrency: int = 8
    clients: int = 16
    timeout_s: float = 5.0
    burst: int = 1
    long_share: float = 0.0
    long_times: float = 1.0
    service_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    weights: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        for name in ("connections", "concurrency", "clients", "burst"):
            _require_whole(name, getattr(self, name), least=1)
        if self.arrivals not in {"closed", "poisson"}:
            raise _refusal(f"there are no {self.arrivals!r} arrivals", 'write "closed" or "poisson"')
        _require_number("rate_per_s", self.rate_per_s, least=0.0)
        _require_number("timeout_s", self.timeout_s, least=0.001)
        if (self.arrivals == "poisson") != (self.rate_per_s > 0):
            raise _refusal(
                f"{self.arrivals} arrivals and rate_per_s={self.rate_per_s:g} do not go together",
                "give rate_per_s with poisson arrivals, and only with them",
            )
        _require_number("long_share", self.long_share, least=0.0, most=1.0)
        _require_number("long_times", self.long_times, least=1.0)
        if self.burst > 1 and self.arrivals == "closed":
            raise _refusal(
                f"burst={self.burst} and closed arrivals do not go together",
                "use poisson arrivals, or concurrency",
            )
        for pod, service_ms in self.service_ms.items():
            _require_number(f"service_ms of {pod}", service_ms, least=0.0)
        for pod, weight in self.weights.items():
            _require_whole(f"weight of {pod}", weight, least=0, most=MOST_WEIGHT)
        object.__setattr__(self, "service_ms", MappingProxyType(dict(self.service_ms)))
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))

    def service_ms_of(self, pod: str) -> float:
        """How long one request takes at `pod` (`namespace/name`), in milliseconds."""
        return self.service_ms.get(pod, self.service_ms.get(ANY_POD, 0.0))

    @property
    def mean_times(self) -> float:
        """How many service times one request takes, on average."""
        return 1 + self.long_share * (self.long_times - 1)

    def weight_of(self, pod: str) -> int:
        """The weight of `pod` as a real server; 1 where none was given."""
        return self.weights.get(pod, 1)


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """One flow from address `client`, `start_us` after the first; None: as soon as a place is free.

    Its request takes a pod `times` its service time.
    """

    number: int
    client: str
    start_us: float | None = None
    times: float = 1.0


def plan_flows(workload: Workload, seed: int, client_addresses: Sequence[str]) -> tuple[FlowPlan, ...]:
    """Return the flows of `workload` in the order of their start; the addresses take turns.

    Poisson arrivals: gaps between bursts are exponential with mean burst/rate, -ln(1 - u) burst / rate.
    Which flows are long is drawn for each by itself, after the starts.
    Raises RequestError if there are fewer addresses than clients.
    """
    if workload.clients > len(client_addresses):
        raise _refusal(
            f"{workload.clients} client addresses are wanted, the client has {len(client_addresses)}",
            f"ask for at most clients={len(client_addresses)}",
        )
    random = Random(seed)
    starts = _poisson_starts(workload, random) if workload.arrivals == "poisson" else repeat(None)
    clients = cycle(client_addresses[: workload.clients])
    return tuple(map(FlowPlan, range(workload.connections), clients, starts, _times(workload, random)))


def _poisson_starts(workload: Workload, random: Random) -> list[float]:
    starts = []
    at_s = 0.0
    for number in range(1, workload.connections + 1):
        starts.append(at_s * 1e6)
        if number % workload.burst == 0:
            at_s += -math.log(1.0 - random.random()) * workload.burst / workload.rate_per_s
    return starts


def _times(workload: Workload, random: Random) -> Iterator[float]:
    if not workload.long_share:
        return repeat(1.0)
    draws = (random.random() for _ in range(workload.connections))
    return (workload.long_times if drawn < workload.long_share else 1.0 for drawn in draws)


def _require_whole(name: str, value: object, *, least: int, most: int = MOST_COUNT) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refusal(f"{name}={value!r} is not a whole number from {least} to {most}", "change it")


def _require_number(name: str, value: Any, *, least: float, most: float = sys.float_info.max) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        bounds = f"from {least:g} to {most:g}" if most == 1 else f"of {least:g} or more"
        raise _refusal(f"{name}={value!r} is not a number {bounds}", "change it")


def _refusal(message: str, todo: str) -> RequestError:
    return RequestError(message, where="workload", todo=todo)
