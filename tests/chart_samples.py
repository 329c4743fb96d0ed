"""Runs and reports made by hand, for the tests of everything that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from labkit.measure.records import Clock, FlowError, GuestFacts, Quantile, Report, RunResult
from labkit.traffic.workload import Workload

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq")
PODS = ("default/web-0", "default/web-1", "default/web-2", "default/web-3")
SHOP = (
    "ad",
    "cart",
    "checkout",
    "currency",
    "email",
    "frontend",
    "payment",
    "catalog",
    "recommend",
    "redis",
    "ship",
    "tax",
)
EVEN = dict.fromkeys(PODS, 0.25)


def quantiles(p50: float, *, interval: float = 0.05) -> Mapping[str, Quantile]:
    """Quantiles around a median in microseconds, each with an interval of `interval` to both sides."""
    factors = {"p05": 0.8, "p50": 1.0, "p95": 1.7, "p99": 2.6}
    return {
        name: Quantile(p50 * factor, p50 * factor * (1 - interval), p50 * factor * (1 + interval))
        for name, factor in factors.items()
    }


def run(
    algorithm: str = "rr",
    counts: tuple[int, ...] = (75, 75, 75, 75),
    *,
    mode: str = "ipvs",
    service: str = "default/web:80",
    protocol: str = "TCP",
    pods: tuple[str, ...] = PODS,
    expected: Mapping[str, float] | None = EVEN,
    p_value: float | None = 1.0,
    connect_us: float = 420.0,
    clock: Clock = "real",
    overloaded: bool = False,
    errors: Mapping[FlowError, int] = MappingProxyType({}),
) -> RunResult:
    """One run in which the pods answered `counts`."""
    answered = sum(counts)
    latency = {
        "connect": quantiles(connect_us),
        "response": quantiles(connect_us * 2.4),
        "forward": quantiles(connect_us / 9),
    }
    return RunResult(
        mode=mode,
        algorithm=algorithm,
        clock=clock,
        service=service,
        protocol=protocol,
        connections=answered + sum(errors.values()),
        answered=answered,
        errors=errors,
        answers={pod: count for pod, count in zip(pods, counts, strict=True) if count},
        expected_share=expected,
        p_value=p_value,
        overloaded=overloaded,
        latency_us=latency if answered else {},
        flows=(),
    )


def fourteen() -> tuple[RunResult, ...]:
    """What `labkit demo` compares: iptables and the 13 schedulers, each with its own habits."""
    special = {
        "fo": run("fo", (300, 0, 0, 0), expected=None, p_value=None),
        "ovf": run("ovf", (296, 4, 0, 0), expected=None, p_value=None),
        "dh": run("dh", (0, 0, 300, 0), expected=None, p_value=None),
        "sh": run("sh", (94, 56, 38, 112), expected=None, p_value=None),
        "mh": run("mh", (57, 93, 75, 75), expected=None, p_value=None),
        "lblc": run("lblc", (0, 300, 0, 0), expected=None, p_value=None),
        "lblcr": run("lblcr", (0, 299, 1, 0), expected=None, p_value=None),
        "wrr": run(
            "wrr",
            (120, 90, 60, 30),
            expected=dict(zip(PODS, (0.4, 0.3, 0.2, 0.1), strict=True)),
            connect_us=432.0,
        ),
        "lc": run("lc", (77, 76, 74, 73), expected=None, p_value=None, connect_us=414.0),
        "sed": run("sed", (80, 70, 75, 75), expected=None, p_value=None, connect_us=470.0),
        "wlc": run("wlc", (75, 76, 75, 74), expected=None, p_value=None),
        "nq": run("nq", (75, 75, 76, 74), expected=None, p_value=None),
    }
    schedulers = tuple(
        special.get(name) or run(name, connect_us=420.0 + 3 * len(name)) for name in SCHEDULERS
    )
    return (run("random", (68, 83, 71, 78), mode="iptables", p_value=0.61, connect_us=455.0), *schedulers)


def many_services() -> tuple[RunResult, ...]:
    """Twelve Services of one pod each, in both modes, as in a shop made of small services."""
    return tuple(
        run(
            algorithm,
            (40,),
            mode=mode,
            service=f"default/{name}service:{7000 + number}",
            pods=(f"default/{name}service-5c6d7f-x{number}k2p",),
            expected={f"default/{name}service-5c6d7f-x{number}k2p": 1.0},
            p_value=None,
            connect_us=380.0 + 17 * number + (40 if mode == "iptables" else 0),
        )
        for number, name in enumerate(SHOP)
        for mode, algorithm in (("iptables", "random"), ("ipvs", "rr"))
    )


def report(*runs: RunResult) -> Report:
    """A report of these runs, or of the fourteen."""
    return Report(
        guest=GuestFacts("uml", "6.1.176", 1),
        iptables_backend="legacy",
        seed=7,
        manifests=("labkit/labs/web.yaml",),
        workload=Workload(
            connections=300, weights={"default/web-0": 4, "default/web-1": 3, "default/web-2": 2}
        ),
        runs=runs or fourteen(),
    )
