"""What an nft transaction makes of an empty ruleset, and what nft would refuse of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class RefusedError(AssertionError):
    """A statement that nft would refuse."""


@dataclass
class Ruleset:
    """Chains (hook, rules) and sets (kind, type, elements) of the one table, by name."""

    chains: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    sets: dict[str, tuple[str, str, list[str]]] = field(default_factory=dict)

    def sections(self) -> dict[str, list[str]]:
        """Return every chain with its rules in order, every set and map with its elements sorted."""
        found = {f"chain {name} {hook}".rstrip(): rules for name, (hook, rules) in self.chains.items()}
        return found | {
            f"{kind} {name} {type_}": sorted(elements) for name, (kind, type_, elements) in self.sets.items()
        }

    def elements(self, name: str) -> list[str]:
        return self.sets[name][2]


def run_transaction(text: str, held: Ruleset | None = None) -> Ruleset:
    """Return the ruleset after `text`, a statement a line. Raises RefusedError."""
    ruleset = held or Ruleset()
    first, *lines = text.splitlines()
    require(first == "add table ip kube-proxy", first)
    for line in lines:
        verb, kind, family, table, name, *words = line.split()
        require((family, table) == ("ip", "kube-proxy"), line)
        if kind in {"chain", "rule"}:
            _run_on_chain(ruleset, verb, kind, name, " ".join(words))
        else:
            _run_on_set(ruleset, verb, kind, name, " ".join(words))
    return ruleset


def require(condition: bool, line: str) -> None:
    if not condition:
        raise RefusedError(line)


def _run_on_chain(ruleset: Ruleset, verb: str, kind: str, name: str, body: str) -> None:
    line = f"{verb} {kind} {name} {body}"
    if (verb, kind) == ("add", "chain"):
        hook, rules = ruleset.chains.get(name, ("", []))
        ruleset.chains[name] = (body.strip("{ ;}") or hook, rules)
        return
    require(name in ruleset.chains, line)
    if kind == "rule":
        require(verb == "add", line)
        require(_names(body) <= {*ruleset.chains, *ruleset.sets}, line)
        ruleset.chains[name][1].append(body)
    elif verb == "flush":
        ruleset.chains[name][1].clear()
    else:
        require(verb == "delete", line)
        del ruleset.chains[name]


def _run_on_set(ruleset: Ruleset, verb: str, kind: str, name: str, body: str) -> None:
    line = f"{verb} {kind} {name} {body}"
    if verb == "add" and kind in {"set", "map"}:
        _, _, elements = ruleset.sets.get(name, (kind, "", []))
        ruleset.sets[name] = (kind, body.strip("{ ;}"), elements)
        return
    require(name in ruleset.sets, line)
    held, _, elements = ruleset.sets[name]
    if kind == "element":
        require(verb == "add", line)
        element = body.removeprefix("{ ").removesuffix(" }")
        require((" : " in element) == (held == "map"), line)
        require(_names(element) <= set(ruleset.chains), line)
        key = element_key(element)
        there = [one for one in elements if element_key(one) == key]
        require(there in ([], [element]), f"{line}: another element has that key")
        if not there:
            elements.append(element)
    elif verb == "flush":
        elements.clear()
    else:
        require(verb == "delete", line)
        del ruleset.sets[name]


def element_key(element: str) -> str:
    """Return an element without its verdict and comment: what is unique in a map."""
    return re.sub(r' comment "[^"]*"', "", element).partition(" : ")[0]


def _names(text: str) -> set[str]:
    """Return the chains and sets that a rule or an element names."""
    return set(re.findall(r"(?:jump |goto |@)([^\s,}]+)", text))
