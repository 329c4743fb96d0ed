"""The rules of a node as its own tools print them: what trace messages name by number or handle, as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.measure.journey.events import Ruleset
from labkit.measure.journey.tracetable import TABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from labkit.fabric.namespace import Namespace
    from labkit.measure.journey.events import Hook

Chain = tuple[str, str]  # table and chain
SHOWN_RULES = 60  # of a chain that was met: around the rule in question; a Service chain may have thousands

_HANDLE = re.compile(r"^(?P<text>.*?) # handle (?P<handle>\d+)$")
_OPENING = re.compile(r"^(?P<kind>table|chain|set|map) (?P<name>[^{]*?) \{")
_BASE = re.compile(r"type \w+ hook (\w+) priority")
_TARGET = re.compile(r"(?:^| )-(?:j|g) (\S+)(?: (.*))?$")
SHOWN_COMMENT = r'comment (?:"([^"]*)"|([^-\s]\S*))'
_STANDARD = {"ACCEPT", "DROP", "RETURN", "REJECT", "MASQUERADE", "DNAT", "SNAT", "MARK", "LOG", "REDIRECT"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its place in its chain, from 1, and its text; `handle` is nft's number for it."""

    number: int
    text: str
    handle: int = 0


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules of a node. `hooks` are those of nft's base chains, `heads` what stands before their rules."""

    tool: str
    chains: Mapping[Chain, tuple[Rule, ...]]
    policies: Mapping[Chain, str]
    hooks: Mapping[Chain, Hook] = field(default_factory=dict)

    def rule(self, table: str, chain: str, number: int) -> Rule | None:
        """Return a rule by its number; None where the chain ends before."""
        rules = self.chains.get((table, chain), ())
        return rules[number - 1] if 0 < number <= len(rules) else None

    def by_handle(self, table: str, chain: str, handle: int) -> Rule | None:
        """Return a rule by nft's number for it."""
        return next((one for one in self.chains.get((table, chain), ()) if one.handle == handle), None)

    def has_trace_rules(self, table: str) -> bool:
        """Return whether a table has rules that switch TRACE on."""
        its = (rules for (name, _), rules in self.chains.items() if name == table)
        return any(rule.text.endswith("-j TRACE") for rules in its for rule in rules)

    def length(self, table: str, chain: str) -> int:
        """Return how many rules a chain has."""
        return len(self.chains.get((table, chain), ()))


def read_iptables(namespace: Namespace, save: str) -> Rulebook:
    """Return the node's iptables rules; `save` is the command that prints them."""
    return parse_iptables(_printed(namespace, [save]))


def read_nftables(namespace: Namespace) -> Rulebook:
    """Return the node's nftables rules, without those of a journey's own table."""
    return parse_nftables(_printed(namespace, ["nft", "-a", "list", "ruleset", "ip"]))


def read_virtual_servers(namespace: Namespace) -> str:
    """Return the node's virtual servers with their real servers, as ipvsadm prints them."""
    return _printed(namespace, ["ipvsadm", "-Sn"])


def parse_iptables(text: str) -> Rulebook:
    """Return the rules that iptables-save printed."""
    chains: dict[Chain, list[Rule]] = {}
    policies: dict[Chain, str] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            chains[table, name] = []
            policies[table, name] = policy
        elif line.startswith("-A "):
            rules = chains[table, line.split(" ", 2)[1]]
            rules.append(Rule(len(rules) + 1, line))
    return Rulebook("iptables-save", {chain: tuple(rules) for chain, rules in chains.items()}, policies)


def parse_nftables(text: str) -> Rulebook:
    """Return the rules that `nft -a list ruleset` printed."""
    chains: dict[Chain, list[Rule]] = {}
    policies: dict[Chain, str] = {}
    hooks: dict[Chain, Hook] = {}
    table, inside = "", ""
    for line in text.splitlines():
        stripped = line.strip()
        opening = _OPENING.match(stripped)
        if opening and opening["kind"] == "table":
            table = opening["name"].partition(" ")[2]
        elif opening:
            inside = opening["name"] if opening["kind"] == "chain" else ""
            if inside:
                chains[table, inside] = []
        elif stripped == "}":
            inside = ""
        elif inside and (base := _BASE.match(stripped)):
            hooks[table, inside] = base[1]  # type: ignore[assignment]
            policies[table, inside] = "DROP" if "policy drop" in stripped else "ACCEPT"
        elif inside and (rule := _HANDLE.match(stripped)):
            its = chains[table, inside]
            its.append(Rule(len(its) + 1, rule["text"], int(rule["handle"])))
    kept = {chain: tuple(rules) for chain, rules in chains.items() if chain[0] != TABLE}
    return Rulebook("nft", kept, policies, hooks)


def verdict_of(rule: str) -> str:
    """Return what an iptables rule does when it matches: `jump KUBE-SERVICES`, `DNAT to 10.244.1.2:80`."""
    found = _TARGET.search(rule)
    if found is None:
        return "continue"
    target, options = found[1], found[2] or ""
    if target not in _STANDARD:
        return f"{'goto' if f' -g {target}' in rule else 'jump'} {target}"
    if target in {"DNAT", "SNAT"}:
        return f"{target} to {options.split()[1]}"
    return f"{target} {options}".strip() if target == "MARK" else target


def show_rules(
    namespace: str, book: Rulebook, met: Mapping[Chain, Collection[int]]
) -> tuple[Ruleset, Mapping[tuple[str, str, int], int]]:
    """Return the text of the chains that were met, and in which line of it each rule stands, from 1.

    `met` has the numbers of the rules in question by chain. Of a long chain only what is around them is
    there; a line says how many rules are left out.
    """
    lines: list[str] = []
    places: dict[tuple[str, str, int], int] = {}
    table = ""
    for chain in sorted((chain for chain in book.chains if chain in met), key=lambda one: one[0]):
        if chain[0] != table:
            table = chain[0]
            lines.append(f"*{table}" if book.tool == "iptables-save" else f"table ip {table}")
        policy = book.policies.get(chain, "-")
        lines.append(f":{chain[1]} {policy}" if book.tool == "iptables-save" else f"chain {chain[1]}")
        indent = "" if book.tool == "iptables-save" else "    "
        for rule in _around(book.chains[chain], met[chain]):
            if isinstance(rule, Rule):
                lines.append(indent + rule.text)
                places[*chain, rule.number] = len(lines)
            else:
                lines.append(f"{indent}# ({rule:,} more rules)")
    return Ruleset(namespace, book.tool, "".join(f"{line}\n" for line in lines)), places


def show_virtual_server(namespace: str, printed: str, address: str) -> Ruleset:
    """Return the lines of the virtual server at `address` (`10.96.0.10:80`)."""
    its = [line for line in printed.splitlines(keepends=True) if f" {address} " in line]
    return Ruleset(namespace, "ipvsadm", "".join(its))


def _around(rules: tuple[Rule, ...], wanted: Collection[int]) -> Iterator[Rule | int]:
    if len(rules) <= SHOWN_RULES:
        yield from rules
        return
    left_out = 0
    for rule in rules:
        if any(abs(rule.number - number) <= 3 for number in wanted):
            if left_out:
                yield left_out
            left_out = 0
            yield rule
        else:
            left_out += 1
    if left_out:
        yield left_out


def _printed(namespace: Namespace, argv: list[str]) -> str:
    done = namespace.command(argv)
    if done.status:
        raise ProgramError(f"the rules cannot be read: {done.stderr.strip()}", where=namespace.name)
    return done.stdout
