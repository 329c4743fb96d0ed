"""iptables mode's rules in words: which address leads to which chain, who is marked, who gets which share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit.capture.entrances import INDENT, UNTRANSLATED, share
from labkit.capture.ownership import target_of
from labkit.proxy.names import ENDPOINT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.capture.entrances import Entrance
    from labkit.proxy.rules import CountedTable, Rule

MARK = "KUBE-MARK-MASQ"
_SILENT = frozenset(("-d", "-p", "-m", "--comment", "--dport", "--mode", "--name", "--mask"))
_ALONE = frozenset(("--rcheck", "--reap", "--set", "--rsource"))
_DEEDS = {
    MARK: "marked, to be masqueraded",
    "DROP": "dropped",
    "REJECT": "refused",
    "RETURN": "back to where it came from",
    "ACCEPT": "accepted",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One match of a rule: its option, its value ("" for a flag), whether it is negated."""

    option: str
    value: str
    negated: bool


def matches(rule: Rule) -> Iterator[Match]:
    """Yield what a rule asks for, without its target and the target's own options."""
    words = iter(rule)
    negated = False
    for word in words:
        if word in {"-j", "-g"}:
            return
        if word == "!":
            negated = True
            continue
        value = "" if word in _ALONE else next(words, "")
        if value == "!":  # as old versions print it
            negated, value = True, next(words, "")
        yield Match(word, value, negated)
        negated = False


def condition(match: Match) -> str:
    """Return a match in words, "" for what every rule of a Service port asks anyway."""
    option, value = match.option, match.value
    if option in _SILENT or option in _ALONE or (option == "--dst-type" and value == "LOCAL"):
        return ""
    if option == "-s":
        network = value.removesuffix("/32")
        return f"from outside of {network}" if match.negated else f"from {network}"
    if option == "--src-type" and value == "LOCAL":
        return "not from the node itself" if match.negated else "from the node itself"
    if option == "--probability":
        return f"with probability {value}"
    if option == "--seconds":
        return f"who was there in the last {value} s"
    return f"{'not ' if match.negated else ''}{option} {value}"


class IptablesReading:
    """The tables of a node in iptables mode."""

    introduction: ClassVar[str] = (
        "In the table nat, KUBE-SERVICES finds the chain by address and port; the chain chooses an endpoint, "
        "whose own chain translates to it (DNAT). What is marked on the way is masqueraded when it leaves, "
        "and so is what an endpoint sends to itself."
    )

    def __init__(self, tables: Mapping[str, CountedTable]) -> None:
        """Take kube-proxy's part of the tables."""
        self._rules = {
            (table.name, name): tuple(one.rule for one in chain.rules)
            for table in tables.values()
            for name, chain in table.chains.items()
        }

    def way(self, entrance: Entrance) -> tuple[str, ...]:
        """Return what the rules do with a new connection to `entrance`, line by line; () if nothing."""
        walk = _Walk(self._rules, entrance)
        lines: list[str] = []
        for table, chain in self._entries(entrance):
            for rule in self._rules.get((table, chain), ()):
                if _is_for(rule, entrance):
                    lines += walk.deed(rule, 1.0, table, chain)
        return tuple(lines)

    def _entries(self, entrance: Entrance) -> Iterator[tuple[str, str]]:
        """Yield the chains that look for an entrance: nat translates, filter has what it left alone."""
        yield "nat", "KUBE-SERVICES" if entrance.address else "KUBE-NODEPORTS"
        yield "filter", "KUBE-SERVICES"
        yield "filter", "KUBE-EXTERNAL-SERVICES"
        yield "filter", "KUBE-PROXY-FIREWALL"


class _Walk:
    """The way of one entrance: each chain is told once."""

    def __init__(self, rules: Mapping[tuple[str, str], tuple[Rule, ...]], entrance: Entrance) -> None:
        self._rules = rules
        self._entrance = entrance
        self._told: set[str] = set()

    def deed(self, rule: Rule, left: float, table: str, chain: str) -> Iterator[str]:
        """Yield what a rule does with the share of all connections that is `left` there."""
        target = target_of(rule)
        named = ", ".join(filter(None, map(condition, matches(rule))))
        start = f"{named}: " if named else ""
        if target.startswith(ENDPOINT_PREFIX):
            often = "again" if _remembers(rule) else share(left * probability(rule))
            yield f"{start}{self._endpoint(target)}, {often} ({target})"
        elif table == "filter":
            yield f"{start}{UNTRANSLATED}: {_DEEDS.get(target, target)} (filter {chain})"
        elif target in _DEEDS:
            yield f"{start}{_DEEDS[target]}"
        elif not target:
            yield from (match.value for match in matches(rule) if match.option == "--comment")
        elif target in self._told:
            yield f"{start}{target}, as above"
        else:
            self._told.add(target)
            yield f"{start}{target}"
            yield from (INDENT + line for line in self._chain(target))

    def _chain(self, chain: str) -> Iterator[str]:
        """Yield what a chain of the table nat does; who is there again by affinity counts for no share."""
        left = 1.0
        for rule in self._rules.get(("nat", chain), ()):
            if _destination(rule) not in {"", self._entrance.address}:
                continue  # it is for another entrance
            yield from self.deed(rule, left, "nat", chain)
            if target_of(rule).startswith(ENDPOINT_PREFIX) and not _remembers(rule):
                left *= 1 - probability(rule)

    def _endpoint(self, chain: str) -> str:
        for rule in self._rules.get(("nat", chain), ()):
            if "--to-destination" in rule:
                return rule[rule.index("--to-destination") + 1]
        return "nowhere: no DNAT"


def probability(rule: Rule) -> float:
    """Return the probability that a rule of `-m statistic` has, 1 for any other."""
    return float(rule[rule.index("--probability") + 1]) if "--probability" in rule else 1.0


def _remembers(rule: Rule) -> bool:
    return "--rcheck" in rule


def _is_for(rule: Rule, entrance: Entrance) -> bool:
    asked = {match.option: match.value for match in matches(rule)}
    if asked.get("--dport") != str(entrance.port) or asked.get("-p") != entrance.protocol.lower():
        return False
    return _destination(rule) == entrance.address


def _destination(rule: Rule) -> str:
    return next((one.value.removesuffix("/32") for one in matches(rule) if one.option == "-d"), "")
