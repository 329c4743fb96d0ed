"""Events of rules: which matched, which were compared on the way to them, where a chain ended."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from labkit.measure.journey.rulebook import verdict_of
from labkit.measure.journey.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.measure.journey.events import Hook, Source
    from labkit.measure.journey.observed import IptablesTraced, NftTraced, Observed
    from labkit.measure.journey.packets import Sighting
    from labkit.measure.journey.places import NodeRules
    from labkit.measure.journey.rulebook import Rule, Rulebook
    from labkit.measure.journey.telling import Telling

_INTO = re.compile(r"^(?:jump|goto) (\S+)$")
_NFT_STATEMENTS = (
    (re.compile(r"(?<![-\w])dnat (?:ip )?to (\S+)"), "DNAT to {}"),
    (re.compile(r"(?<![-\w])masquerade\b()"), "MASQUERADE{}"),
    (re.compile(r"(?<![-\w])reject\b(?!-)()"), "REJECT{}"),
)


class RuleTeller:
    """Adds the events of rules to a telling."""

    def __init__(self, telling: Telling, rules: Mapping[str, NodeRules]) -> None:
        self.telling = telling
        self.rules = rules
        self._walks: defaultdict[tuple[str, int, str], Walk] = defaultdict(Walk)
        self._hooks: dict[tuple[str, int], Hook] = {}

    def tell_iptables(self, one: Observed, sighting: Sighting, traced: IptablesTraced) -> None:
        """Add what a line of TRACE says."""
        book = self.rules[one.namespace].iptables
        if book is None:
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
        verdict = verdict_of(rule.text) if rule else ""
        self._tell(one, sighting, "iptables TRACE", book, place, rule, verdict)

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
        verdict = _nft_verdict(rule.text, traced.verdict) if rule else ""
        self._tell(one, sighting, "nft trace", book, place, rule, verdict)

    def _tell(
        self,
        one: Observed,
        sighting: Sighting,
        source: Source,
        book: Rulebook,
        place: Mapping[str, Any],
        rule: Rule | None,
        verdict: str,
    ) -> None:
        chain = place["table"], place["chain"]
        walk = self._walks[one.namespace, sighting.packet.number, f"{place['hook']} {place['table']}"]
        if rule is None:
            self._tell_walked(
                one, sighting, walk.reached.get(chain, 0) + 1, walk.end(chain, book.length(*chain)), place
            )
            policy = book.policies.get(chain, "-")
            ended = {"text": "the end of the chain", "verdict": "return" if policy == "-" else policy}
            self.telling.add(one, one.namespace, sighting, "rule", source, **place, **ended)
            return
        first = walk.reached.get(chain, 0) + 1
        skipped = walk.match(chain, rule.number)
        self._tell_walked(one, sighting, first if first <= rule.number else 1, skipped, place)
        if into := _INTO.match(verdict):
            walk.enter(place["table"], into[1])
        matched = {"rule": rule.number, "text": rule.text, "verdict": verdict, "compared": 1}
        self.telling.add(one, one.namespace, sighting, "rule", source, **place, **matched)

    def _tell_walked(
        self, one: Observed, sighting: Sighting, first: int, count: int, place: Mapping[str, Any]
    ) -> None:
        """Add, as an inference, that `count` rules from the `first` on were compared and did not match."""
        if count <= 0:
            return
        which = f"rule {first}" if count == 1 else f"rules {first:,} to {first + count - 1:,}"
        fields = {"text": f"{which}: compared, no match", "verdict": "no match", "compared": count}
        self.telling.add(
            one, one.namespace, sighting, "rule", "rules", **place, **fields, rule=first, evidence="inferred"
        )


def _nft_verdict(rule: str, traced: str) -> str:
    """Return what a rule of nft's did: its statement where it translates or rejects, else its verdict."""
    for pattern, words in _NFT_STATEMENTS:
        if found := pattern.search(rule):
            return words.format(found[1])
    return traced
