"""The restore input that brings a plan into tables which hold other things as well: pure, like a merge.

What is kube-proxy's (its chains, by their names, and its jumps to them) becomes as planned; everything else
stays. Jumps that are there already are left where they are, so applying a plan twice changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from labkit.proxy import iptables, ipvs_rules
from labkit.proxy.names import HASHED_PREFIXES
from labkit.proxy.restore import render_rule
from labkit.proxy.rules import undeclared_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.proxy.rules import CountedTable, Jump, Rule, Table

_OWN_JUMPS = frozenset((jump.table, jump.chain, jump.rule) for jump in (*iptables.JUMPS, *ipvs_rules.JUMPS))
CANARY = "KUBE-PROXY-CANARY"
OWN_CHAINS = frozenset(
    (
        *(*iptables.FILTER_CHAINS, *iptables.NAT_CHAINS, "KUBE-FIREWALL", CANARY),
        *(*ipvs_rules.FILTER_CHAINS, *ipvs_rules.NAT_CHAINS),
    )
)


@dataclass(slots=True)
class _Merge:
    """One table's lines, in the order in which they must stand."""

    declared: dict[str, None] = field(default_factory=dict)
    removed_jumps: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    jumps: list[str] = field(default_factory=list)
    removed_chains: list[str] = field(default_factory=list)

    def lines(self, table: str) -> list[str]:
        declared = [f":{chain} - [0:0]" for chain in self.declared]
        body = [*declared, *self.removed_jumps, *self.rules, *self.jumps, *self.removed_chains]
        return [f"*{table}", *body, "COMMIT"] if body else []


def is_own_chain(name: str) -> bool:
    """Return whether a chain is one that kube-proxy makes, in any mode."""
    return name in OWN_CHAINS or name.startswith(HASHED_PREFIXES)


def merge_text(
    tables: Sequence[Table],
    jumps: Sequence[Jump],
    held: Mapping[str, CountedTable],
    canary_tables: Iterable[str] = (),
) -> str:
    """Return the input for `iptables-restore --noflush` that makes `tables` and `jumps` of what is `held`.

    Without tables and jumps it removes all that is kube-proxy's. `canary_tables` each get the empty chain
    whose absence tells kube-proxy that somebody flushed its rules.
    """
    merges: defaultdict[str, _Merge] = defaultdict(_Merge)
    for table in tables:
        merges[table.name].declared.update(dict.fromkeys(table.chains))
        merges[table.name].rules.extend(_rule_lines(table))
    shared = (*undeclared_targets(tables, jumps), *((table, CANARY) for table in canary_tables))
    kept = set(shared)
    for name, chain in shared:
        if chain not in _chains(held, name):
            merges[name].declared[chain] = None
    for jump in jumps:
        if jump.rule not in _rules(held, jump.table, jump.chain):
            merges[jump.table].jumps.append(f"-I {jump.chain} {render_rule(jump.rule)}")
    unwanted = _OWN_JUMPS - {(jump.table, jump.chain, jump.rule) for jump in jumps}
    for name in held:
        merge = merges[name]
        stale = [chain for chain in _stale_chains(held[name], merge) if (name, chain) not in kept]
        merge.declared.update(dict.fromkeys(stale))
        merge.removed_chains.extend(f"-X {chain}" for chain in stale)
        merge.removed_jumps.extend(_stale_jumps(held[name], frozenset(stale), unwanted))
    lines = [line for name, merge in merges.items() for line in merge.lines(name)]
    return "\n".join((*lines, "")) if lines else ""


def _rule_lines(table: Table) -> Iterator[str]:
    for chain, rules in table.chains.items():
        start = f"-A {chain} "
        for rule in rules:
            yield start + render_rule(rule)


def _chains(held: Mapping[str, CountedTable], table: str) -> Iterable[str]:
    return held[table].chains if table in held else ()


def _rules(held: Mapping[str, CountedTable], table: str, chain: str) -> list[Rule]:
    chains = held[table].chains if table in held else {}
    return [one.rule for one in chains[chain].rules] if chain in chains else []


def _stale_chains(held: CountedTable, merge: _Merge) -> list[str]:
    return [chain for chain in held.chains if is_own_chain(chain) and chain not in merge.declared]


def _stale_jumps(
    held: CountedTable, stale: frozenset[str], unwanted: frozenset[tuple[str, str, Rule]]
) -> Iterator[str]:
    """Yield the deletion of unwanted jumps of kube-proxy's, and of any rule that leads into a stale chain."""
    for name, chain in held.chains.items():
        if is_own_chain(name):
            continue
        for one in chain.rules:
            if _target(one.rule) in stale or (held.name, name, one.rule) in unwanted:
                yield f"-D {name} {render_rule(one.rule)}"


def _target(rule: Rule) -> str:
    for option, value in pairwise(rule):
        if option in {"-j", "-g"}:
            return value
    return ""
