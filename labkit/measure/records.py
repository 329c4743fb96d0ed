"""What was measured: a record for each flow, a result for each run.

These values are written to flows.jsonl and results.json: `schema.py` makes the formats from their
annotations.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass, field
from typing import Annotated, Literal

from labkit import __version__
from labkit.guest.clock import Clock
from labkit.proxy.printing import KUBE_PROXY
from labkit.traffic.flow import FlowError
from labkit.traffic.workload import Workload  # noqa: TC001  see above

__all__ = ["Clock", "FlowError", "FlowRecord", "GuestFacts", "Quantile", "Report", "RunResult"]

LatencyName = Annotated[str, ("connect", "response", "forward")]
QuantileName = Annotated[str, ("p05", "p50", "p95", "p99")]
UNWRITTEN: Mapping[str, bool] = {"written": False}


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """One connection (TCP) or one datagram and its answer (UDP), as the client saw it.

    Latencies are in microseconds. `connect_us` is from connect() to established (None for UDP),
    `response_us` from the request to the whole answer; with poisson arrivals the first of them counts from
    the intended start. `forward_us` is the delay between the node's ingress and the pod's side, by the
    kernel's own packet stamps (None where no tap saw it). `started_us` counts from the run's first flow.
    """

    number: int
    client: str  # "10.244.0.128:40001"
    service: str  # "namespace/name:port"
    target: str  # the address that was asked: "10.96.0.10:80"
    protocol: str
    started_us: float
    pod: str | None  # `namespace/name` of who answered
    connect_us: float | None
    response_us: float | None
    forward_us: float | None
    error: FlowError | None


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimate and its 95 % bootstrap interval, in microseconds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """One Service under one mode and algorithm: in IPVS mode the scheduler's name, else `random`.

    `p_value` is that of a chi-square test of `answers` against `expected_share`; both are None where there is
    nothing to expect or to test. `lost_stamps` counts packets whose stamps the taps had no room for.
    """

    mode: str
    algorithm: str
    clock: Clock
    service: str
    protocol: str
    connections: int
    answered: int
    errors: Mapping[FlowError, int]
    answers: Mapping[str, int]
    expected_share: Mapping[str, float] | None
    p_value: float | None
    overloaded: bool
    latency_us: Mapping[LatencyName, Mapping[QuantileName, Quantile]]
    flows: tuple[FlowRecord, ...] = field(metadata=UNWRITTEN, repr=False)
    lost_stamps: int = 0


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """Which Linux the numbers come from."""

    kind: str
    release: str
    cpus: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one `labkit demo` measured: what results.json holds."""

    guest: GuestFacts
    iptables_backend: Literal["legacy", "nft"]
    seed: int
    manifests: tuple[str, ...]
    workload: Workload
    runs: tuple[RunResult, ...]
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY
