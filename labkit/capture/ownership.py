"""Whose a chain is: kube-proxy's, which a capture is about, or somebody else's, which is only named."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from labkit.proxy.merge import is_own_chain
from labkit.proxy.rules import CountedChain, CountedTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.proxy.rules import Rule

_OWNERS = (
    ("FLANNEL-", "flannel"),
    ("cali-", "Calico"),
    ("DOCKER", "Docker"),
    ("CILIUM_", "Cilium"),
    ("CNI-", "CNI plugins"),
    ("KIND-", "kindnet"),
    ("KUBE-ROUTER-", "kube-router"),
    ("KUBE-KUBELET-CANARY", "the kubelet"),
    ("KUBE-IPTABLES-HINT", "the kubelet"),
    ("KUBE-MARK-DROP", "the kubelet"),
)
"""What the names of others' chains begin with."""

_EMPTY = CountedChain("-", 0, 0, ())


def target_of(rule: Rule) -> str:
    """Return where a rule leads: a chain or a target of iptables; "" for nowhere."""
    return next((value for option, value in pairwise(rule) if option in {"-j", "-g"}), "")


def own_tables(tables: Mapping[str, CountedTable]) -> Mapping[str, CountedTable]:
    """Return what of the tables is kube-proxy's: its chains, and of built-in ones the rules that lead there.

    Policies are ACCEPT: they are not kube-proxy's. A chain of somebody else that its rules lead to is empty.
    """
    return {name: own for name, table in tables.items() if (own := _own_table(table)).chains}


def _own_table(table: CountedTable) -> CountedTable:
    own = {name: chain for name, chain in table.chains.items() if is_own_chain(name)}
    built_in = {
        name: CountedChain("ACCEPT", 0, 0, jumps)
        for name, chain in table.chains.items()
        if chain.policy != "-"
        and (jumps := tuple(one for one in chain.rules if is_own_chain(target_of(one.rule))))
    }
    targets = (target_of(one.rule) for chain in own.values() for one in chain.rules)
    borrowed = {name: _EMPTY for name in targets if name in table.chains and name not in own}
    return CountedTable(table.name, {**built_in, **own, **borrowed})


def foreign_chains(tables: Mapping[str, CountedTable]) -> tuple[str, ...]:
    """Return in words what of the tables is not kube-proxy's."""
    chains: Counter[str] = Counter()
    examples: dict[str, str] = {}
    rules = 0
    for table in tables.values():
        for name, chain in table.chains.items():
            if chain.policy != "-":
                rules += sum(not is_own_chain(target_of(one.rule)) for one in chain.rules)
            elif not is_own_chain(name):
                owner = owner_of(name)
                chains[owner] += 1
                examples.setdefault(owner, name)
    policies = tuple(_policies(tables))
    return (
        *(
            f"{_plural(count, 'chain')} of {owner}, such as {examples[owner]}"
            if owner
            else _unknown(count, examples[""])
            for owner, count in chains.items()
        ),
        *([f"{_plural(rules, 'rule')} of others in built-in chains"] if rules else []),
        *policies,
    )


def owner_of(chain: str) -> str:
    """Return whose a chain is that is not kube-proxy's, "" where its name does not tell."""
    return next((owner for start, owner in _OWNERS if chain.startswith(start)), "")


def _unknown(count: int, example: str) -> str:
    return f"{_plural(count, 'chain')} of others, such as {example}"


def _policies(tables: Mapping[str, CountedTable]) -> Iterator[str]:
    for table in tables.values():
        for name, chain in table.chains.items():
            if chain.policy not in {"-", "ACCEPT"}:
                yield f"the policy {chain.policy} of {table.name} {name}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"
