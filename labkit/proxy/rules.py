"""Netfilter rules as values: what a planner makes, `restore` prints and reads, `program` applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TableName = Literal["filter", "nat", "mangle", "raw", "security"]
Rule = tuple[str, ...]
"""One rule as arguments after `-A CHAIN`: ("-s", "10.0.0.1", "-j", "ACCEPT"); a comment is one argument."""


@dataclass(frozen=True, slots=True)
class Table:
    """The chains of one table, in the order of their declaration, and their rules, in that of evaluation."""

    name: TableName
    chains: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Jump:
    """A rule that kube-proxy prepends to a built-in chain; it ends in `-j` and a chain of its own."""

    table: TableName
    chain: str
    rule: Rule

    @property
    def target(self) -> str:
        """The chain jumped to."""
        return self.rule[-1]


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A rule as the guest holds it, with what it has matched since it was written."""

    rule: Rule
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CountedChain:
    """A chain as the guest holds it; `policy` is "-" for one that is not built in."""

    policy: str
    packets: int
    bytes: int
    rules: tuple[CountedRule, ...]


@dataclass(frozen=True, slots=True)
class CountedTable:
    """A table as the guest holds it: its chains by name."""

    name: str
    chains: Mapping[str, CountedChain]


def undeclared_targets(tables: Iterable[Table], jumps: Iterable[Jump]) -> tuple[tuple[TableName, str], ...]:
    """Return (table, chain) of what `jumps` lead to and `tables` do not declare: shared chains."""
    declared = {(table.name, chain) for table in tables for chain in table.chains}
    return tuple(
        dict.fromkeys(
            (jump.table, jump.target) for jump in jumps if (jump.table, jump.target) not in declared
        )
    )


def comment(text: str) -> Rule:
    """Return the match that carries `text` as a rule's comment."""
    return ("-m", "comment", "--comment", text)


def masquerade_chains(mark: str) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Return the rules of KUBE-POSTROUTING and of KUBE-MARK-MASQ for the mark bit `mark` (like 0x00004000).

    A packet marked anywhere is masqueraded after routing; its mark is cleared first, so that a second pass
    through the chain (of an encapsulated packet) does not masquerade again. The same in iptables and IPVS
    mode.
    """
    postrouting: tuple[Rule, ...] = (
        ("-m", "mark", "!", "--mark", f"{mark}/{mark}", "-j", "RETURN"),
        ("-j", "MARK", "--xor-mark", mark),
        (*comment("kubernetes service traffic requiring SNAT"), "-j", "MASQUERADE", "--random-fully"),
    )
    return postrouting, (("-j", "MARK", "--or-mark", mark),)


def forward_rules(mark: str) -> tuple[Rule, ...]:
    """Return what ends KUBE-FORWARD in iptables and IPVS mode: marked and established traffic passes."""
    return (
        (*comment("kubernetes forwarding rules"), "-m", "mark", "--mark", f"{mark}/{mark}", "-j", "ACCEPT"),
        (
            *comment("kubernetes forwarding conntrack rule"),
            *("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
        ),
    )
