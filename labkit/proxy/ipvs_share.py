"""What single Services have in IPVS mode, and what of that changes: pure.

Virtual servers are a Service's own. Members of ipsets and addresses on kube-ipvs0 may be several Services' at
once (two that share a load balancer's address, or a pod): they are counted, and go with the last.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.proxy.ipvs import VirtualServer, bound_addresses, virtual_servers
from labkit.proxy.ipvs_sets import set_members
from labkit.proxy.program_sets import as_printed, fits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.writers import Basis

Member = tuple[str, str]
"""An ipset's name and a member of it, as `ipset` prints it."""
BOUND = "KUBE-IPVS-IPS"


@dataclass(frozen=True, slots=True)
class IpvsShare:
    """What service ports have: virtual servers, members of sets with how often, firewalled service ports.

    The addresses on kube-ipvs0 are the members of KUBE-IPVS-IPS. `firewalled` stand in rules of their own.
    """

    servers: tuple[VirtualServer, ...]
    members: Counter[Member]
    firewalled: Counter[tuple[str, str, int]]


def ipvs_share(ports: Iterable[ForwardedPort], basis: Basis) -> IpvsShare:
    """Return what these service ports have."""
    servers: list[VirtualServer] = []
    members: Counter[Member] = Counter()
    firewalled: Counter[tuple[str, str, int]] = Counter()
    for port in ports:
        servers.extend(virtual_servers(port, basis.settings, basis.config, basis.extension))
        members.update(
            (name, as_printed(member)) for name, member in set_members(port, basis.settings) if fits(member)
        )
        members.update((BOUND, address) for address in bound_addresses(port, basis.settings))
        if port.ranges and not port.ranges_hold_node:
            firewalled.update((vip, port.protocol, port.port) for vip in port.vips)
    return IpvsShare(tuple(servers), members, firewalled)


class Members:
    """How many Services have each member of an ipset, and how many members each set has."""

    def __init__(self, members: Counter[Member]) -> None:
        """Begin with what all Services have."""
        self._owners = Counter(members)
        self.sizes = Counter(name for name, _ in members)

    def exchange(self, before: Counter[Member], after: Counter[Member]) -> tuple[list[Member], list[Member]]:
        """Take `before` away, put `after` in, and return which members are new and which are gone."""
        touched = dict.fromkeys((*before, *after))
        were = {member for member in touched if self._owners[member]}
        for member in touched:
            self._owners[member] += after[member] - before[member]
        now = {member for member in touched if self._owners[member]}
        new = [member for member in touched if member in now and member not in were]
        gone = [member for member in touched if member in were and member not in now]
        self.sizes.update(name for name, _ in new)
        self.sizes.subtract(name for name, _ in gone)
        for member in gone:
            del self._owners[member]
        return new, gone
