"""Where a step's rule stands among its node's rules: which Ruleset, and which of its lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.chart.ladder_steps import Step
    from labkit.measure.journey.events import Event, Ruleset
    from labkit.measure.journey.journey import Journey

LEGACY_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})


def rule_place(step: Step, journey: Journey) -> tuple[int, int] | None:
    """Return which Ruleset, and which line of it (from 1), a step follows from; None if none."""
    event = step.event if step.event.line else step.rule
    if event is None or not event.line:
        return None
    for number, ruleset in enumerate(journey.rulesets):
        if ruleset.namespace == event.namespace and _holds(ruleset, event):
            return number, event.line
    return None


def _holds(ruleset: Ruleset, event: Event) -> bool:
    if event.line is None or event.line > len(ruleset.text.splitlines()):
        return False
    match ruleset.tool:
        case "iptables-save":
            return event.table in LEGACY_TABLES
        case "ipvsadm":
            return event.kind == "ipvs"
        case _:
            return event.kind == "rule" and event.table not in LEGACY_TABLES
