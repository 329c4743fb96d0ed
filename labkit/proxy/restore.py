"""The one place for iptables' text: iptables-restore input out, iptables-save output with counters in.

Grammar (iptables 1.8, iptables-restore.c): arguments stand apart by blanks; double quotes hold an argument
together, and only inside them a backslash takes the next character as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.proxy.rules import CountedChain, CountedRule, CountedTable, Rule, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = re.compile(r'[^\s"]+')
_ARGUMENT = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"')
_ESCAPED = re.compile(r"\\(.)")
_CHAIN = re.compile(r":(\S+) (\S+) \[(\d+):(\d+)\]")
_RULE = re.compile(r"(?:\[(\d+):(\d+)\] )?-A (\S+) ?(.*)")
_PROGRAM = re.compile(r"-[A-Za-z0-9]*M.*|--m(o(d(p.*)?)?)?(=.*)?")


def render_rule(rule: Rule) -> str:
    """Return a rule's arguments as iptables-restore reads them."""
    text = " ".join(rule)
    if '"' not in text and tuple(text.split()) == rule:
        return text  # as most rules are: no argument is empty or has a blank in it
    return " ".join(map(_argument, rule))


def render_table(table: Table) -> list[str]:
    """Return the lines of one table: its chains declared (and so emptied), then their rules, then COMMIT."""
    lines = [f"*{table.name}"]
    lines.extend(f":{chain} - [0:0]" for chain in table.chains)
    for chain, rules in table.chains.items():
        start = f"-A {chain} "
        lines.extend(start + render_rule(rule) for rule in rules)
    lines.append("COMMIT")
    return lines


def render_restore(tables: Iterable[Table]) -> str:
    """Return the input that kube-proxy gives to `iptables-restore --noflush --counters` for these tables."""
    return "".join(f"{line}\n" for table in tables for line in render_table(table))


def render_saved(table: CountedTable) -> str:
    """Return a table as `iptables-save -c` prints it: what brings it back, counters included."""
    lines = [f"*{table.name}"]
    lines.extend(
        f":{name} {held.policy} [{held.packets}:{held.bytes}]" for name, held in table.chains.items()
    )
    lines.extend(
        f"[{one.packets}:{one.bytes}] -A {name} {render_rule(one.rule)}"
        for name, held in table.chains.items()
        for one in held.rules
    )
    return "".join(f"{line}\n" for line in (*lines, "COMMIT"))


def parse_save(text: str) -> dict[str, CountedTable]:
    """Return the tables in the output of `iptables-save -c`, by name; without counters (no -c) all are 0.

    Raises ValueError on a line that iptables-save does not write.
    """
    chains: dict[str, dict[str, tuple[str, int, int, list[CountedRule]]]] = {}
    current: dict[str, tuple[str, int, int, list[CountedRule]]] = {}
    for line in text.split("\n"):
        if line.startswith("*"):
            current = chains.setdefault(line[1:], {})
        elif declared := _CHAIN.fullmatch(line):
            name, policy, packets, octets = declared.groups()
            current[name] = (policy, int(packets), int(octets), [])
        elif rule := _RULE.fullmatch(line):
            packets, octets, name, words = rule.groups(default="0")
            current[name][3].append(CountedRule(split_rule(words), int(packets), int(octets)))
        elif line and line != "COMMIT" and not line.startswith("#"):
            raise ValueError(f"not a line of iptables-save: {line}")
    return {
        table: CountedTable(
            table, {name: CountedChain(p, n, b, tuple(rules)) for name, (p, n, b, rules) in held.items()}
        )
        for table, held in chains.items()
    }


def runs_program(rule: Rule) -> bool:
    """Return whether a word of a rule could be iptables' `--modprobe`, which names a program to run."""
    return any(_PROGRAM.fullmatch(word) for word in rule)


def split_rule(words: str) -> Rule:
    """Return the arguments of a rule's text."""
    if '"' not in words:
        return tuple(words.split())
    return tuple(_QUOTED.sub(_unquote, word) for word in _ARGUMENT.findall(words))


@lru_cache(maxsize=4096)
def _argument(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else _quote(word)


def _quote(word: str) -> str:
    if "\n" in word:
        raise ValueError(f"a rule is one line: {word!r}")
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquote(quoted: re.Match[str]) -> str:
    return _ESCAPED.sub(r"\1", quoted[1])
