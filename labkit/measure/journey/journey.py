"""Journey: one connection's whole way through the cluster, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.measure.journey.events import (  # noqa: TC001  schema.py reads the annotations at run time
    Event,
    Lane,
    Outcome,
    Packet,
    Provenance,
    Question,
    Ruleset,
)


@dataclass(frozen=True, slots=True)
class Journey:
    """One connection's whole way. `lanes` are in the order in which the request came to them."""

    provenance: Provenance
    question: Question
    lanes: tuple[Lane, ...]
    packets: tuple[Packet, ...]
    events: tuple[Event, ...]
    rulesets: tuple[Ruleset, ...]
    outcome: Outcome
