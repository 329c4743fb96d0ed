"""The transaction that changes of single Services take: pure. What stays as it is, is not named.

kube-proxy v1.30 sends the whole table each time; later versions send what changed, as this does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.proxy.nftables_service import service_statements
from labkit.proxy.nftables_statements import Statement, add, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.proxy.settings import NodeSettings
    from labkit.proxy.writers import Ports


@dataclass(slots=True)
class Share:
    """What Services have in the table: rules by chain, definitions by set, elements in their order.

    An element is a set's or map's name and the text in braces.
    """

    chains: dict[str, list[str]] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    elements: dict[tuple[str, str], None] = field(default_factory=dict)


def service_share(services: Iterable[Ports], settings: NodeSettings) -> Share:
    """Return what these Services have in the table."""
    share = Share()
    for ports in services:
        for port in ports:
            for one in service_statements(port, settings):
                _take(share, one)
    return share


def plan_statements(before: Share, after: Share) -> tuple[Statement, ...]:
    """Return what turns one share into the other, in an order that nft takes.

    What is named must be there, and what is removed must not be named any more: so chains come first and
    go last.
    """
    stale_sets = {name for name, body in before.sets.items() if after.sets.get(name) != body}
    rewritten = {
        chain
        for chain, rules in after.chains.items()
        if before.chains.get(chain) != rules or _names_any(rules, stale_sets)
    }
    gone = [chain for chain in before.chains if chain not in after.chains]
    return (
        *(add("chain", chain) for chain in after.chains if chain not in before.chains),
        *(Statement("flush", "chain", chain) for chain in before.chains if chain in rewritten),
        *(Statement("flush", "chain", chain) for chain in gone),
        *_removed_elements(before, after),
        *(Statement("delete", "set", name) for name in before.sets if name in stale_sets),
        *(add("set", name, body) for name, body in after.sets.items() if before.sets.get(name) != body),
        *(add("element", *one) for one in after.elements if one not in before.elements),
        *(rule(chain, text) for chain in after.chains if chain in rewritten for text in after.chains[chain]),
        *(Statement("delete", "chain", chain) for chain in gone),
    )


def _take(share: Share, one: Statement) -> None:
    if one.kind == "chain":
        share.chains.setdefault(one.name, [])
    elif one.kind == "rule":
        share.chains[one.name].append(one.body)
    elif one.kind == "set":
        share.sets[one.name] = one.body
    else:
        share.elements[one.name, one.body] = None


def _removed_elements(before: Share, after: Share) -> Iterator[Statement]:
    for name, body in before.elements:
        if (name, body) not in after.elements:
            yield Statement("delete", "element", name, f"{{ {_key(body)} }}")


def _key(body: str) -> str:
    """Return what an element is found by: without comment and verdict."""
    return body.strip("{ }").partition(" comment ")[0].partition(" : ")[0]


def _names_any(rules: Iterable[str], sets: set[str]) -> bool:
    return bool(sets) and any(word[1:] in sets for text in rules for word in text.split() if word[0] == "@")
