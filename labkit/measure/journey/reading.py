"""A journey as text and as a table."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from labkit.measure.journey.levels import Level, select_events
from labkit.measure.journey.sentences import outcome_sentence, sentence
from labkit.measure.journey.tables import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.measure.journey.events import Event
    from labkit.measure.journey.journey import Journey


def journey_text(journey: Journey, level: Level) -> str:
    """Return the journey's steps, a line each, packet by packet, and what came of it."""
    return "\n".join(_lines(journey, select_events(journey, level)))


def _lines(journey: Journey, events: tuple[Event, ...]) -> Iterator[str]:
    asked, made = journey.question, journey.provenance
    yield (
        f"{asked.client} ({asked.source}) asks {asked.service} ({asked.target}/{asked.protocol}); "
        f"{made.mode} mode, {made.algorithm}"
    )
    width = max((len(event.namespace) for event in events), default=0)
    packets = {packet.number: packet for packet in journey.packets}
    number = 0
    for packet, its in groupby(events, key=lambda event: event.packet):
        if packet in packets:
            way = "request" if packets[packet].direction == "request" else "answer"
            yield f"packet {packet}, {packets[packet].what} ({way})"
        for event in its:
            number += 1
            inferred = "  (inferred)" if event.evidence == "inferred" else ""
            yield f"  {number:>3}  {event.namespace:<{width}}  {sentence(event)}{inferred}"
    yield outcome_sentence(journey)
    for missing in journey.provenance.missing:
        yield f"missing: {missing}"


def journey_table(journey: Journey, level: Level) -> TextTable:
    """Return the journey's steps as a table."""
    rows = tuple(
        (
            str(event.sequence),
            str(event.packet or ""),
            event.namespace,
            event.hook,
            event.kind,
            sentence(event),
            str(event.compared or ""),
            event.evidence,
            event.source,
        )
        for event in select_events(journey, level)
    )
    headings = ("event", "packet", "where", "hook", "kind", "what happened", "rules", "evidence", "source")
    return TextTable(headings, rows, outcome_sentence(journey))


def rules_compared(journey: Journey, packet: int) -> int:
    """Return how many rules were compared with one packet, or with all of them (0), in all namespaces."""
    return sum(one.compared for one in journey.events if packet in {0, one.packet})
