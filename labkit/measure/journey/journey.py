"""Journey: one connection's whole way through the cluster, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.measure.journey.events import (  # noqa: TC001  schema.py reads the annotations at run time
    Event,
    Lane,
    Outcome,
    Packet,
    Provenance,
    Question,
    Ruleset,
)

if TYPE_CHECKING:
    from labkit.measure.journey.levels import Level
    from labkit.measure.journey.tables import TextTable
    from labkit.traffic.frames import CaughtFrame


@dataclass(frozen=True, slots=True)
class Journey:
    """One connection's whole way. `lanes` are in the order in which the request came to them.

    It is read in three levels: `summary` (some dozen steps), `rules` (every rule that was compared), and
    `everything`.
    """

    provenance: Provenance
    question: Question
    lanes: tuple[Lane, ...]
    packets: tuple[Packet, ...]
    events: tuple[Event, ...]
    rulesets: tuple[Ruleset, ...]
    outcome: Outcome

    def __repr__(self) -> str:
        return self.text()  # a notebook shows it, not the thousands of values

    def text(self, level: Level = "summary") -> str:
        """Return the steps, a line each, and what came of the connection. RequestError: no such level."""
        from labkit.measure.journey.reading import journey_text

        return journey_text(self, level)

    def table(self, level: Level = "summary") -> TextTable:
        """Return the steps as a table: aligned text, HTML in a notebook. RequestError: no such level."""
        from labkit.measure.journey.reading import journey_table

        return journey_table(self, level)

    def compare(self, other: Journey) -> TextTable:
        """Return two journeys side by side: where they part, and how many rules each compared."""
        from labkit.measure.journey.comparing import compare_journeys

        return compare_journeys(self, other)

    def rules_compared(self, packet: int = 1) -> int:
        """Return how many rules were compared with one packet in all namespaces; 0: with all packets.

        Rules that did not match are counted by inference: a chain is worked through from its first rule.
        """
        from labkit.measure.journey.reading import rules_compared

        return rules_compared(self, packet)

    def scapy_packets(self) -> list[Any]:
        """Return every frame at every interface as Scapy's packets, in order (`sniffed_on` says where)."""
        from labkit.traffic.frames import as_scapy

        return as_scapy(self._frames())

    def to_pcapng(self, path: Path | str) -> None:
        """Write every frame at every interface as a pcapng file; RequestError where it cannot be written.

        Each place is an interface (`node-1/eth0`) of the file; times count from the journey's beginning.
        """
        from labkit.traffic.frames import write_pcapng

        write_pcapng(Path(path), self._frames())

    def _frames(self) -> list[CaughtFrame]:
        from labkit.measure.journey.sentences import sentence
        from labkit.traffic.frames import CaughtFrame

        return [
            CaughtFrame(
                bytes.fromhex(event.frame),
                event.time_ns,
                f"{event.namespace}/{event.out_interface or event.in_interface}",
                f"packet {event.packet} {sentence(event)}",
            )
            for event in self.events
            if event.frame
        ]
