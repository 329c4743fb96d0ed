"""What must be written into iptables when single Services change: pure, like kube-proxy's partial sync.

A Service's own chains are written if they differ. A chain that the Services share is written, whole, only if
one of them puts other rules into it; kube-proxy (v1.30) writes those each time, with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain as joined
from typing import TYPE_CHECKING

from labkit.proxy.iptables import NAT_CHAINS, plan_iptables_ports
from labkit.proxy.iptables_service import RuleSet, add_access_rules, add_service_chains, service_chains
from labkit.proxy.merge import OWN_CHAINS
from labkit.proxy.restore import render_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from labkit.proxy.rules import TableName
    from labkit.proxy.settings import NodeSettings
    from labkit.proxy.writers import Ports

Place = tuple["TableName", str]
"""A table and a chain in it."""
Lines = tuple[str, ...]
Chains = dict[Place, Lines]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Chains that get other rules, and chains that go."""

    written: Mapping[Place, Lines]
    removed: tuple[Place, ...]

    @property
    def text(self) -> str:
        """The input for `iptables-restore --noflush`; "" if there is nothing to write."""
        names = dict.fromkeys(table for table, _ in (*self.written, *self.removed))
        return "".join(f"{line}\n" for name in names for line in self._table(name))

    def _table(self, name: str) -> Iterator[str]:
        yield f"*{name}"
        yield from (f":{chain} - [0:0]" for table, chain in (*self.written, *self.removed) if table == name)
        for (table, _), lines in self.written.items():
            if table == name:
                yield from lines
        yield from (f"-X {chain}" for table, chain in self.removed if table == name)
        yield "COMMIT"


def access_lines(ports: Ports) -> Chains:
    """Return what a Service puts into the chains that it shares with others, as iptables-restore reads it."""
    rules = RuleSet.declare(OWN_CHAINS, OWN_CHAINS)
    for port in ports:
        add_access_rules(rules, port, service_chains(port))
    return _lines(rules)


def own_lines(ports: Ports, settings: NodeSettings, *, explained: bool) -> Chains:
    """Return a Service's own chains, which other Services never touch."""
    rules = RuleSet.declare((), NAT_CHAINS)
    for port in ports:
        add_service_chains(rules, port, service_chains(port), settings, explained=explained)
    return {
        ("nat", chain): _rendered(chain, some) for chain, some in rules.nat.items() if chain not in NAT_CHAINS
    }


def last_lines(settings: NodeSettings) -> Chains:
    """Return what stands in shared chains whatever the Services are: behind the rules of theirs."""
    tables = plan_iptables_ports((), settings).tables
    return {
        (table.name, chain): _rendered(chain, rules)
        for table in tables
        for chain, rules in table.chains.items()
    }


def plan_rewrite(before: Mapping[Place, Lines], after: Mapping[Place, Lines]) -> Rewrite:
    """Return what turns the chains `before` into those `after`; a chain that is in neither stays."""
    return Rewrite(
        {place: lines for place, lines in after.items() if before.get(place) != lines},
        tuple(place for place in before if place not in after),
    )


def changed_places(before: Mapping[Place, Lines], after: Mapping[Place, Lines]) -> frozenset[Place]:
    """Return the shared chains into which a Service now puts other rules."""
    return frozenset(place for place in (*before, *after) if before.get(place, ()) != after.get(place, ()))


def shared_chains(places: Iterable[Place], services: Iterable[Chains], last: Chains) -> Chains:
    """Return these shared chains whole, made of what each Service puts in and of what stands last."""
    every = tuple(services)
    return {
        place: tuple(joined(joined.from_iterable(one.get(place, ()) for one in every), last.get(place, ())))
        for place in places
    }


def _lines(rules: RuleSet) -> Chains:
    tables: tuple[tuple[TableName, Mapping[str, list[tuple[str, ...]]]], ...] = (
        ("filter", rules.filter),
        ("nat", rules.nat),
    )
    return {
        (name, chain): _rendered(chain, some)
        for name, chains in tables
        for chain, some in chains.items()
        if some
    }


def _rendered(chain: str, rules: Iterable[tuple[str, ...]]) -> Lines:
    return tuple(f"-A {chain} {render_rule(rule)}" for rule in rules)
