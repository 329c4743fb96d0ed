"""Plans with one thing missing: a rule, a jump, an element, a real server, an address, a setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flows.scene import SERVICES

from labkit.proxy.iptables import IptablesPlan
from labkit.proxy.ipvs import IpvsPlan
from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.nftables_statements import Statement
from labkit.proxy.plans import Plan
from labkit.proxy.restore import render_rule

_ANONYMOUS = re.compile(r"\{ (.*) \}")
_SERVICE_OF = re.compile(r"default/([\w-]+)")
_BY_ADDRESS = {
    **{service.cluster_ip: name for name, service in SERVICES.items()},
    **{address: name for name, service in SERVICES.items() for address in service.external_ips},
    **{one.ip: name for name, service in SERVICES.items() for one in service.load_balancer},
    **{str(port.node_port): name for name, service in SERVICES.items() for port in service.ports},
}
_WORD = re.compile(r"[\d.]+")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`plan` lacks what `kind` and `lost` name; `setting` is the sysctl that has to be set back, or "".

    `service` is the one that it most likely touches, "" for none or all: where to look first.
    """

    kind: str
    lost: str
    plan: Plan
    setting: str = ""

    @property
    def service(self) -> str:
        """The Service that what is lost names."""
        if named := _SERVICE_OF.search(self.lost):
            return named[1]
        return next((_BY_ADDRESS[word] for word in _WORD.findall(self.lost) if word in _BY_ADDRESS), "")

    def __str__(self) -> str:
        return f"{self.kind}: {self.lost}"


def mutants(plan: Plan) -> Iterator[Mutant]:
    """Yield every mutant of a plan."""
    for path in plan.sysctls:
        yield Mutant("setting", path, plan, path)
    if isinstance(plan, NftablesPlan):
        yield from _nftables_mutants(plan)
        return
    yield from _rule_mutants(plan)
    if isinstance(plan, IpvsPlan):
        yield from _ipvs_mutants(plan)


def _without(values: tuple, position: int) -> tuple:
    return values[:position] + values[position + 1 :]


def _rule_mutants(plan: IptablesPlan | IpvsPlan) -> Iterator[Mutant]:
    for position, jump in enumerate(plan.jumps):
        lost = f"{jump.table} {jump.chain} {render_rule(jump.rule)}"
        yield Mutant("jump", lost, replace(plan, jumps=_without(plan.jumps, position)))
    for number, table in enumerate(plan.tables):
        for chain, rules in table.chains.items():
            for position, rule in enumerate(rules):
                fewer = replace(table, chains={**table.chains, chain: _without(rules, position)})
                tables = (*plan.tables[:number], fewer, *plan.tables[number + 1 :])
                lost = f"{table.name} {chain} {render_rule(rule)}"
                yield Mutant("rule", lost, replace(plan, tables=tables))


def _ipvs_mutants(plan: IpvsPlan) -> Iterator[Mutant]:
    for position, address in enumerate(plan.addresses):
        yield Mutant("address", address, replace(plan, addresses=_without(plan.addresses, position)))
    for position, one in enumerate(plan.ipsets):
        for place, member in enumerate(one.members):
            fewer = replace(one, members=_without(one.members, place))
            ipsets = (*plan.ipsets[:position], fewer, *plan.ipsets[position + 1 :])
            yield Mutant("ipset entry", f"{one.name} {member}", replace(plan, ipsets=ipsets))
    for position, server in enumerate(plan.virtual_servers):
        others = _without(plan.virtual_servers, position)
        yield Mutant(
            "virtual server", f"{server.service_port} {server.key}", replace(plan, virtual_servers=others)
        )
        for place, real in enumerate(server.real_servers):
            fewer = replace(server, real_servers=_without(server.real_servers, place))
            servers = (*plan.virtual_servers[:position], fewer, *plan.virtual_servers[position + 1 :])
            lost = f"{server.service_port} {server.key} -> {real.name}"
            yield Mutant("real server", lost, replace(plan, virtual_servers=servers))


def _nftables_mutants(plan: NftablesPlan) -> Iterator[Mutant]:
    # A transaction may add an element several times, for every port of a Service: it is one all the same.
    for statement in dict.fromkeys(plan.transaction):
        if statement.verb != "add" or statement.kind not in {"rule", "element"}:
            continue
        lost = f"{statement.name} {statement.body}"
        fewer = tuple(one for one in plan.transaction if one != statement)
        yield Mutant(statement.kind, lost, replace(plan, transaction=fewer))
        for element, rest in _elements_of(statement):
            changed = tuple(rest if one == statement else one for one in plan.transaction)
            yield Mutant("element of a rule", f"{lost} without {element}", replace(plan, transaction=changed))


def _elements_of(statement: Statement) -> Iterator[tuple[str, Statement]]:
    """Yield each element of a set or map that stands in a rule, and the rule without it."""
    found = _ANONYMOUS.search(statement.body) if statement.kind == "rule" else None
    elements = tuple(found[1].split(" , ")) if found else ()
    if len(elements) < 2:
        return
    for position, element in enumerate(elements):
        inner = " , ".join(_without(elements, position))
        body = f"{statement.body[: found.start(1)]}{inner}{statement.body[found.end(1) :]}"
        yield element, replace(statement, body=body)
