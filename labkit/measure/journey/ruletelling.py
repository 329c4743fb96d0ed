"""Events of rules: which matched, which were compared on the way to them, where a chain ended."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.measure.journey.packets import Spot
from labkit.measure.journey.rulebook import verdict_of
from labkit.measure.journey.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.measure.journey.events import Hook, Source
    from labkit.measure.journey.observed import IptablesTraced, NftTraced, Observed
    from labkit.measure.journey.packets import Sighting
    from labkit.measure.journey.places import NodeRules
    from labkit.measure.journey.rulebook import Chain, Rule, Rulebook
    from labkit.measure.journey.telling import Telling

_INTO = re.compile(r"^(?:jump|goto) (\S+)$")
_NFT_STATEMENTS = (
    (re.compile(r"(?<![-\w])dnat (?:ip )?to (\S+)"), "DNAT to {}"),
    (re.compile(r"(?<![-\w])masquerade\b()"), "MASQUERADE{}"),
    (re.compile(r"(?<![-\w])reject\b(?!-)()"), "REJECT{}"),
)


@dataclass(frozen=True, slots=True)
class _Traced:
    """A trace message: of which packet, from which source, about which place in which rules."""

    one: Observed
    sighting: Sighting
    source: Source
    book: Rulebook
    place: Mapping[str, Any]

    @property
    def chain(self) -> Chain:
        return self.place["table"], self.place["chain"]


class RuleTeller:
    """Adds the events of rules to a telling."""

    def __init__(self, telling: Telling, rules: Mapping[str, NodeRules]) -> None:
        self.telling = telling
        self.rules = rules
        self._walks: defaultdict[tuple[str, int, str], Walk] = defaultdict(Walk)
        self._hooks: dict[tuple[str, int], Hook] = {}

    def tell_iptables(self, one: Observed, sighting: Sighting, traced: IptablesTraced) -> None:
        """Add what a line of TRACE says; nothing about a table in which the journey's own rules are."""
        book = self.rules[one.namespace].iptables
        if book is None or book.has_trace_rules(traced.table):
            return
        place = {
            "hook": traced.hook,
            "table": traced.table,
            "chain": traced.chain,
            "mark": traced.mark,
            "in_interface": traced.in_interface,
            "out_interface": traced.out_interface,
        }
        rule = book.rule(traced.table, traced.chain, traced.rule)
        at = _Traced(one, sighting, "iptables TRACE", book, place)
        self._tell(at, rule, verdict_of(rule.text) if rule else "")

    def tell_nft(self, one: Observed, sighting: Sighting, traced: NftTraced) -> None:
        """Add what an nft trace message says."""
        book = self.rules[one.namespace].nft
        if book is None:
            return
        chain = traced.table, traced.chain
        key = one.namespace, sighting.packet.number
        if chain in book.hooks:
            self._hooks[key] = book.hooks[chain]
        hook = self._hooks.get(key, "")
        place = {"hook": hook, "table": traced.table, "chain": traced.chain, "mark": traced.mark}
        rule = book.by_handle(*chain, traced.handle) if traced.handle else None
        at = _Traced(one, sighting, "nft trace", book, place)
        self._tell(at, rule, _nft_verdict(rule.text, traced.verdict) if rule else "")

    def _tell(self, at: _Traced, rule: Rule | None, verdict: str) -> None:
        walk = self._walks[at.one.namespace, at.sighting.packet.number, f"{at.place['hook']} {at.chain[0]}"]
        reached = walk.reached.get(at.chain, 0)
        if rule is None:
            self._tell_walked(at, reached + 1, walk.end(at.chain, at.book.length(*at.chain)))
            policy = at.book.policies.get(at.chain, "-")
            verdict = "return" if policy == "-" else policy
            self._add(at, at.source, text="the end of the chain", verdict=verdict)
            return
        skipped = walk.match(at.chain, rule.number)
        self._tell_walked(at, rule.number - skipped, skipped)
        if into := _INTO.match(verdict):
            walk.enter(at.chain[0], into[1])
        self._add(at, at.source, rule=rule.number, text=rule.text, verdict=verdict, compared=1)

    def _tell_walked(self, at: _Traced, first: int, count: int) -> None:
        """Add, as an inference, that `count` rules from the `first` on were compared and did not match."""
        if count <= 0:
            return
        which = f"rule {first}" if count == 1 else f"rules {first:,} to {first + count - 1:,}"
        text = f"{which}: compared, no match"
        self._add(at, "rules", rule=first, text=text, verdict="no match", compared=count, evidence="inferred")

    def _add(self, at: _Traced, source: Source, **fields: Any) -> None:
        spot = Spot(at.one.namespace, at.sighting)
        self.telling.add(at.one, spot, "rule", source, **at.place, **fields)


def _nft_verdict(rule: str, traced: str) -> str:
    """Return what a rule of nft's did: its statement where it translates or rejects, else its verdict."""
    for pattern, words in _NFT_STATEMENTS:
        if found := pattern.search(rule):
            return words.format(found[1])
    return traced
