"""kube-proxy's ipsets in a namespace: read, made, filled by differences, destroyed; a process each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.proxy.ipvs_sets import SET_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.ipvs_sets import IpSet

Members = dict[str, frozenset[str]]


def read_sets(namespace: Namespace) -> Members:
    """Return the members of those of kube-proxy's sets that are there, by name, as `ipset` prints them."""
    done = namespace.command(["ipset", "save"])
    if done.status:
        raise ProgramError(f"the ipsets cannot be read: {done.stderr.strip()}", where=namespace.name)
    found: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        verb, name, *words = line.split()
        if name in SET_NAMES and verb == "create":
            found[name] = set()
        elif name in SET_NAMES and verb == "add":
            found[name].add(words[0])
    return {name: frozenset(members) for name, members in found.items()}


def apply_sets(namespace: Namespace, sets: Sequence[IpSet], held: Mapping[str, frozenset[str]]) -> None:
    """Make the sets and give them their members; `held`: what they have. ProgramError on a refusal."""
    _restore(namespace, set_changes(sets, held))


def refill_sets(namespace: Namespace, held: Mapping[str, frozenset[str]]) -> None:
    """Give the sets in `held` their former members again."""
    now = read_sets(namespace)
    _restore(
        namespace, [line for name, members in held.items() for line in _changes(name, members, now[name])]
    )


def destroy_sets(namespace: Namespace) -> None:
    """Remove kube-proxy's sets, which no rule may use any more."""
    _restore(namespace, [f"destroy {name}" for name in read_sets(namespace)])


def set_changes(sets: Sequence[IpSet], held: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the lines of `ipset restore` that turn what is `held` into `sets`."""
    lines = []
    for one in sets:
        if one.name not in held:
            lines.append(f"create {one.name} {one.type} {one.options}")
        wanted = {as_printed(member) for member in one.members if not member.endswith("/0")}
        lines.extend(_changes(one.name, wanted, held.get(one.name, frozenset())))
    return lines


def as_printed(member: str) -> str:
    """Return a member as `ipset` prints it: a network of one address is that address.

    A network of all addresses has no such form. No hash set takes one; kube-proxy logs the refusal and goes
    on, so it is left out here.
    """
    return member.removesuffix("/32")


def _changes(name: str, wanted: Iterable[str], held: frozenset[str]) -> Iterator[str]:
    members = frozenset(wanted)
    yield from (f"add {name} {member}" for member in sorted(members - held))
    yield from (f"del {name} {member}" for member in sorted(held - members))


def _restore(namespace: Namespace, lines: Sequence[str]) -> None:
    if not lines:
        return
    done = namespace.command(["ipset", "restore"], stdin="".join(f"{line}\n" for line in lines))
    if done.status:
        raise ProgramError(f"the guest refused an ipset: {done.stderr.strip()}", where=namespace.name)
