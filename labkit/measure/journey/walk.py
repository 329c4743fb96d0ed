"""How far a packet has come in each chain: which rules were compared between those that a trace reports.

A trace names only rules that match. That rule 10,000 of a chain matched means that the 9,999 before it were
compared, as netfilter works through a chain from its first rule: an inference, and labelled as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Chain = tuple[str, str]


@dataclass(slots=True)
class Walk:
    """One packet's way through the rules of one namespace at one hook."""

    reached: dict[Chain, int] = field(default_factory=dict)

    def match(self, chain: Chain, number: int) -> int:
        """Note that rule `number` matched; return how many rules before it were compared since the last."""
        skipped = number - self.reached.get(chain, 0) - 1
        if skipped < 0:  # the chain was entered anew
            skipped = number - 1
        self.reached[chain] = number
        return skipped

    def enter(self, table: str, chain: str) -> None:
        """Note that a rule led into `chain`."""
        self.reached.pop((table, chain), None)

    def end(self, chain: Chain, length: int) -> int:
        """Note that the chain's end was reached; return how many rules were compared since the last match."""
        return length - self.reached.pop(chain, 0)
