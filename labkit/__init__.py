"""labkit: a lab network that forwards Kubernetes Services as kube-proxy does, on a Linux of its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

# Loaded when they are first asked for: the guest's first process imports this package and needs none of them.
_PUBLIC = {
    "Event": "labkit.lab.changing",
    "Lab": "labkit.lab",
    "LabError": "labkit.errors",
    "Outage": "labkit.outage",
    "Workload": "labkit.traffic.workload",
    "choose_algorithm": "labkit.chart.controls",
    "control_room": "labkit.chart.control_room",
    "run_outage": "labkit.outage",
    "scaling": "labkit.experiments.scaling",
    "show_distribution": "labkit.chart.distribution",
    "show_journey": "labkit.chart.journey_view",
    "show_latency": "labkit.chart.latency",
    "show_rewriting": "labkit.chart.rewriting",
    "show_scaling": "labkit.chart.scaling",
    "show_topology": "labkit.chart.topology",
}
__all__ = [
    "Event",
    "Lab",
    "LabError",
    "Outage",
    "Workload",
    "choose_algorithm",
    "control_room",
    "run_outage",
    "scaling",
    "show_distribution",
    "show_journey",
    "show_latency",
    "show_rewriting",
    "show_scaling",
    "show_topology",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
