"""What was measured: one record a flow, one result a run. These values are written to flows.jsonl and results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labkit.traffic.workload import Workload

Clock = Literal["real", "virtual"]
FlowError = Literal["refused", "timeout", "reset"]


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """One connection (TCP) or one datagram and its answer (UDP), as the client saw it.

    Latencies are in microseconds. `connect_us` is from connect() to established (None for UDP), `response_us` from the
    request to the whole answer, `forward_us` the delay between the node's ingress and the pod's side, by the
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
    """One Service under one mode and algorithm. `algorithm` is `random` in iptables mode, else the IPVS scheduler."""

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
    latency_us: Mapping[str, Mapping[str, Quantile]]  # {"connect"|"response"|"forward": {"p05"|"p50"|"p95"|"p99": ...}}
    flows: tuple[FlowRecord, ...]


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
