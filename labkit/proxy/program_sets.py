"""kube-proxy's ipsets in a namespace: read, made, filled by differences, destroyed.

Members, of which there are thousands, go by netlink; `ipset` itself lists, makes and destroys the sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.errors import ProgramError
from labkit.fabric.netlink import NetfilterSocket, RefusedError
from labkit.proxy.ipset_messages import member_message
from labkit.proxy.ipvs_sets import SET_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.ipvs_sets import IpSet

Members = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A member that comes into a set or leaves it."""

    verb: Literal["add", "del"]
    set_name: str
    member: str


def read_sets(namespace: Namespace) -> Members:
    """Return the members of those of kube-proxy's sets that are there, by name, as `ipset` prints them."""
    done = namespace.command(["ipset", "save"])
    if done.status:
        raise ProgramError(f"the ipsets cannot be read: {done.complaint}", where=namespace.name)
    found: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        verb, name, *words = line.split()
        if name in SET_NAMES and verb == "create":
            found[name] = set()
        elif name in SET_NAMES and verb == "add":
            found[name].add(words[0])
    return {name: frozenset(members) for name, members in found.items()}


def apply_sets(namespace: Namespace, sets: Sequence[IpSet], held: Mapping[str, frozenset[str]]) -> int:
    """Make the sets, give them their members, and return how many things changed; `held`: what they have.

    Raises ProgramError on a refusal.
    """
    missing = [f"create {one.name} {one.type} {one.options}" for one in sets if one.name not in held]
    _restore(namespace, missing)
    changes = [
        change
        for one in sets
        for change in member_changes(one.name, one.members, held.get(one.name, frozenset()))
    ]
    with namespace.run(lambda: NetfilterSocket(namespace.name)) as netfilter:
        send_members(netfilter, changes)
    return len(missing) + len(changes)


def refill_sets(namespace: Namespace, held: Mapping[str, frozenset[str]]) -> None:
    """Give the sets in `held` their former members again."""
    now = read_sets(namespace)
    with namespace.run(lambda: NetfilterSocket(namespace.name)) as netfilter:
        for name, members in held.items():
            send_members(netfilter, member_changes(name, members, now[name]))


def send_members(netfilter: NetfilterSocket, changes: Iterable[MemberChange]) -> None:
    """Make the changes in their order, many in one send. Raises ProgramError for the first one refused."""
    try:
        netfilter.send([member_message(change.verb, change.set_name, change.member) for change in changes])
    except RefusedError as error:
        raise ProgramError(error.message, where=netfilter.where) from error


def destroy_sets(namespace: Namespace) -> int:
    """Remove kube-proxy's sets, which no rule may use any more, and return how many there were."""
    names = read_sets(namespace)
    _restore(namespace, [f"destroy {name}" for name in names])
    return len(names)


def member_changes(name: str, members: Iterable[str], held: frozenset[str]) -> list[MemberChange]:
    """Return what turns the `held` members of a set into `members`."""
    wanted = {as_printed(member) for member in members if fits(member)}
    added = (MemberChange("add", name, member) for member in sorted(wanted - held))
    removed = (MemberChange("del", name, member) for member in sorted(held - wanted))
    return [*added, *removed]


def fits(member: str) -> bool:
    """Return whether a hash set takes it: a network of all addresses none does.

    kube-proxy logs the refusal and goes on, so it is left out here.
    """
    return not member.endswith("/0")


def as_printed(member: str) -> str:
    """Return a member as `ipset` prints it: a network of one address is that address."""
    return member.removesuffix("/32")


def _restore(namespace: Namespace, lines: Sequence[str]) -> None:
    if not lines:
        return
    done = namespace.command(["ipset", "restore"], stdin="".join(f"{line}\n" for line in lines))
    if done.status:
        raise ProgramError(f"the guest refused an ipset: {done.complaint}", where=namespace.name)
