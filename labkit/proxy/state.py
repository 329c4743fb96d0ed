"""What a node holds of kube-proxy's, beside what it should: read back, and the difference in words.

The guest prints a rule in other words than it was given (`--or-mark 0x4000` comes back as `--set-xmark
0x4000/0x4000`). So what should be there is not computed: the plan is programmed into a namespace made for it,
and read back from there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.fabric.namespace import Namespace
from labkit.proxy.ipvs import DEVICE, PERSISTENT
from labkit.proxy.merge import is_own_chain
from labkit.proxy.nftables_statements import TABLE
from labkit.proxy.program import apply_plan, read_virtual_servers
from labkit.proxy.program_device import has_device, read_bound_addresses
from labkit.proxy.program_nft import has_table
from labkit.proxy.program_sets import read_sets
from labkit.proxy.program_tables import read_tables
from labkit.proxy.restore import render_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.proxy.ipvs import VirtualServer
    from labkit.proxy.plans import Plan
    from labkit.proxy.program_restore import Backend

_BLOCK = re.compile(r"^\t(chain|set|map) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{(.*)\}", re.DOTALL)
_REMAINING = re.compile(r" expires \S+")


@dataclass(frozen=True, slots=True)
class Part:
    """A chain, set or virtual server: its lines; `ordered` says whether their order means something."""

    lines: tuple[str, ...]
    ordered: bool = True


State = dict[str, Part]
"""Parts by their names: "chain nat KUBE-SERVICES", "virtual server 10.96.0.10:80/TCP", "ipset KUBE-..."."""


def read_state(namespace: Namespace, backend: Backend) -> State:
    """Return what the namespace holds of kube-proxy's, of whatever mode."""
    state = dict(_tables(namespace, backend))
    if has_device(namespace):
        state |= _ipvs(namespace)
    if has_table(namespace):
        state |= _nftables(namespace)
    return state


def plan_state(plan: Plan, backend: Backend) -> State:
    """Return what `plan` makes of an empty namespace. Raises what `apply_plan` raises."""
    with Namespace.create(f"plan-{os.getpid()}") as scratch:
        apply_plan(plan, scratch, backend)
        return read_state(scratch, backend)


def diff_states(wanted: Mapping[str, Part], held: Mapping[str, Part]) -> tuple[str, ...]:
    """Return in words what is different in `held`, one sentence each; nothing if it is as wanted."""
    return tuple(
        sentence for name in {**wanted, **held} for sentence in _part_differences(name, wanted, held)
    )


def _part_differences(name: str, wanted: Mapping[str, Part], held: Mapping[str, Part]) -> Iterator[str]:
    if name not in held:
        yield f"{name} is missing"
    elif name not in wanted:
        yield f"{name} should not be there"
    else:
        before, after = wanted[name], held[name]
        missing = [line for line in before.lines if line not in after.lines]
        surplus = [line for line in after.lines if line not in before.lines]
        yield from (f"{name} lacks: {line}" for line in missing)
        yield from (f"{name} should not have: {line}" for line in surplus)
        if not missing and not surplus and len(before.lines) != len(after.lines):
            yield f"{name} has {len(after.lines)} lines instead of {len(before.lines)}, some twice"
        elif not missing and not surplus and before.ordered and before.lines != after.lines:
            yield f"{name} has its lines in another order"


def _tables(namespace: Namespace, backend: Backend) -> Iterator[tuple[str, Part]]:
    for table, held in read_tables(namespace, backend).items():
        for chain, content in held.chains.items():
            rules = [one.rule for one in content.rules]
            if is_own_chain(chain):
                yield f"chain {table} {chain}", Part(tuple(map(render_rule, rules)))
            elif jumps := tuple(render_rule(rule) for rule in rules if is_own_chain(rule[-1])):
                yield f"jumps from {table} {chain}", Part(jumps)


def _ipvs(namespace: Namespace) -> State:
    sets = {
        f"ipset {name}": Part(tuple(sorted(members)), ordered=False)
        for name, members in read_sets(namespace).items()
    }
    addresses = Part(tuple(sorted(read_bound_addresses(namespace))), ordered=False)
    servers = (one.server for one in read_virtual_servers(namespace))
    return {
        **sets,
        f"device {DEVICE}": addresses,
        **{f"virtual server {server.key}": _server(server) for server in servers},
    }


def _server(server: VirtualServer) -> Part:
    persistent = (f"persistent {server.timeout_s} s",) if server.flags & PERSISTENT else ()
    flags = (f"flags {server.flags & ~PERSISTENT:#x}",) if server.flags & ~PERSISTENT else ()
    reals = sorted(f"real server {real.name} with weight {real.weight}" for real in server.real_servers)
    return Part((f"scheduler {server.scheduler}", *persistent, *flags, *reals), ordered=False)


def _nftables(namespace: Namespace) -> State:
    done = namespace.command(["nft", "list", "table", "ip", TABLE])
    if done.status:
        raise ProgramError(f"the table cannot be read: {done.complaint}", where=namespace.name)
    return {
        f"nftables {kind} {name}": _nft_part(kind, body) for kind, name, body in _BLOCK.findall(done.stdout)
    }


def _nft_part(kind: str, body: str) -> Part:
    if kind == "chain":
        return Part(tuple(line.strip() for line in body.splitlines()))
    elements = _ELEMENTS.search(body)
    members = _REMAINING.sub("", elements[1]).split(",") if elements else ()
    head = [line.strip() for line in _ELEMENTS.sub("", body).splitlines() if line.strip()]
    return Part((*head, *sorted(" ".join(member.split()) for member in members)), ordered=False)
