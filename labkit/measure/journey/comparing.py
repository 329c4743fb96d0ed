"""Two journeys beside each other: which steps they share, where they part, what each cost."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING

from labkit.measure.journey.levels import select_events
from labkit.measure.journey.reading import rules_compared
from labkit.measure.journey.sentences import sentence
from labkit.measure.journey.tables import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.measure.journey.events import Event
    from labkit.measure.journey.journey import Journey

Step = tuple[str, ...]


def compare_journeys(one: Journey, other: Journey) -> TextTable:
    """Return their summaries side by side; steps of the same kind at the same sort of place share a row.

    Rows begin with "=" where both do the same, "|" where they differ, "<" or ">" where one alone has a step.
    """
    names = (_name(one), _name(other))
    steps = [_steps(journey) for journey in (one, other)]
    keys = [[key for key, _ in each] for each in steps]
    rows = tuple(_rows(SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes(), steps))
    costs = [
        f"{name}: {rules_compared(journey, 1)} rules compared for the first packet, "
        f"{rules_compared(journey, 0)} for all {len(journey.packets)}"
        for name, journey in zip(names, (one, other), strict=True)
    ]
    return TextTable(("", *names), rows, "; ".join(costs))


def _name(journey: Journey) -> str:
    made = journey.provenance
    return f"{made.mode} ({made.algorithm})" if made.mode == "ipvs" else made.mode


def _steps(journey: Journey) -> list[tuple[Step, str]]:
    kinds = {lane.namespace: lane.kind for lane in journey.lanes}
    return [
        (_key(event, kinds.get(event.namespace, "")), f"{event.namespace}: {sentence(event)}")
        for event in select_events(journey, "summary")
    ]


def _key(event: Event, lane: str) -> Step:
    """Return what makes two steps the same one, whatever the addresses: where, what, who did it."""
    details = {
        "interface": "out" if event.out_interface else "in",
        "nat": f"{event.verdict} at {event.hook} by {event.text}",
        "rule": f"{event.table} {event.verdict.partition(' ')[0]}",
        "route": event.verdict.partition(" ")[0],
        "socket": event.verdict,
    }
    return lane, event.kind, str(event.direction), details.get(event.kind, "")


def _rows(
    opcodes: Sequence[tuple[str, int, int, int, int]], steps: Sequence[list[tuple[Step, str]]]
) -> Iterator[tuple[str, ...]]:
    for what, first, last, other_first, other_last in opcodes:
        left = [text for _, text in steps[0][first:last]]
        right = [text for _, text in steps[1][other_first:other_last]]
        for one, other in zip_longest(left, right, fillvalue=""):
            sign = "=" if what == "equal" else "|" if one and other else "<" if one else ">"
            yield sign, one, other
