"""labkit: a lab network that forwards Kubernetes Services as kube-proxy does, on a Linux of its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

# Loaded when they are first asked for: the guest's first process imports this package and needs none of them.
_PUBLIC = {
    "CallPlan": "labkit.traffic.retrying",
    "Event": "labkit.spec.events",
    "Experiment": "labkit.experiment",
    "Lab": "labkit.lab",
    "LabError": "labkit.errors",
    "Outage": "labkit.outage",
    "Workload": "labkit.traffic.workload",
    "choose_algorithm": "labkit.chart.controls",
    "compare_algorithms": "labkit.experiments.algorithms",
    "consistency": "labkit.experiments.consistency",
    "control_room": "labkit.chart.control_room",
    "failure": "labkit.experiments.failure",
    "many_services": "labkit.spec.many",
    "run": "labkit.experiment",
    "run_outage": "labkit.outage",
    "scaling": "labkit.experiments.scaling",
    "scaling_here": "labkit.experiments.scaling",
    "short_connections": "labkit.experiments.shortconnections",
    "short_connections_here": "labkit.experiments.shortconnections",
    "show_algorithms": "labkit.chart.algorithms",
    "show_consistency": "labkit.chart.consistency",
    "show_distribution": "labkit.chart.distribution",
    "show_failure": "labkit.chart.failure",
    "show_journey": "labkit.chart.journey_view",
    "show_latency": "labkit.chart.latency",
    "show_programming": "labkit.chart.programming",
    "show_rewriting": "labkit.chart.rewriting",
    "show_scaling": "labkit.chart.scaling",
    "show_short_connections": "labkit.chart.shortconnections",
    "show_topology": "labkit.chart.topology",
}
__all__ = [
    "CallPlan",
    "Event",
    "Experiment",
    "Lab",
    "LabError",
    "Outage",
    "Workload",
    "choose_algorithm",
    "compare_algorithms",
    "consistency",
    "control_room",
    "failure",
    "many_services",
    "run",
    "run_outage",
    "scaling",
    "scaling_here",
    "short_connections",
    "short_connections_here",
    "show_algorithms",
    "show_consistency",
    "show_distribution",
    "show_failure",
    "show_journey",
    "show_latency",
    "show_programming",
    "show_rewriting",
    "show_scaling",
    "show_short_connections",
    "show_topology",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
