"""IPVS mode, synced: all by differences to what the guest holds, or the servers and members of what changed.

A change of one endpoint costs a message or two on a socket that stays open, however many Services there are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from labkit.fabric.netlink import NetfilterSocket
from labkit.proxy.ipvs import plan_ipvs_ports
from labkit.proxy.ipvs_changes import plan_changes
from labkit.proxy.ipvs_draining import Key, connections_of, plan_draining, plan_removals
from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.ipvs_share import BOUND, Members, ipvs_share
from labkit.proxy.program import write_ipvs
from labkit.proxy.program_device import change_addresses
from labkit.proxy.program_ipvs import HeldServers, make_changes
from labkit.proxy.program_sets import MemberChange, send_members
from labkit.proxy.writers import Basis, FullSyncNeededError, Ports, PortsChange, Writes, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.ipvs import VirtualServer
    from labkit.proxy.ipvs_draining import Draining
    from labkit.proxy.ipvs_share import Member
    from labkit.proxy.program_restore import Backend


class IpvsWriter:
    """Writes IPVS mode into a namespace, and lets real servers drain that are removed.

    Its sockets stay open until the namespace is closed.
    """

    def __init__(self, namespace: Namespace, backend: Backend) -> None:
        """Take charge of the IPVS of `namespace`; nothing is written. CapabilityError where it has none."""
        self._namespace = namespace
        self._backend = backend
        self._ipvs = namespace.run(IpvsSocket)
        namespace.keep(self._ipvs)
        self._netfilter = namespace.run(lambda: NetfilterSocket(namespace.name))
        namespace.keep(self._netfilter)
        self._members = Members(Counter())
        self._firewalled: Counter[tuple[str, str, int]] = Counter()
        self._claims: Counter[str] = Counter()  # how many service ports want each virtual server
        self._waiting: Mapping[Key, Change] = {}

    @property
    def draining(self) -> tuple[Key, ...]:
        """The real servers that wait for their connections to end: (virtual server, real server)."""
        return tuple(self._waiting)

    def write_all(self, basis: Basis, ports: Mapping[str, Ports]) -> Writes:
        """Make everything what is planned; see Writer."""
        every = [port for some in ports.values() for port in some]
        plan = plan_ipvs_ports(every, basis.settings, basis.config, basis.extension)
        held = HeldServers(self._ipvs.read(), self._waiting)
        writes, self._waiting = write_ipvs(plan, self._namespace, self._backend, self._ipvs, held)
        share = ipvs_share(every, basis)
        self._members, self._firewalled = Members(share.members), share.firewalled
        self._claims = Counter(server.key for server in share.servers)
        return writes

    def write_changes(
        self, basis: Basis, changes: Mapping[str, PortsChange], ports: Mapping[str, Ports]
    ) -> Writes:
        """Change the virtual servers, set members and addresses that differ; see Writer."""
        del ports  # what Services share is counted
        before = ipvs_share((port for change in changes.values() for port in change.before), basis)
        after = ipvs_share((port for change in changes.values() for port in change.after), basis)
        used = +self._members.sizes
        new, gone = self._members.exchange(before.members, after.members)
        if before.firewalled != after.firewalled or (+self._members.sizes).keys() != used.keys():
            raise FullSyncNeededError("the few iptables rules beside IPVS change")
        self._claim(before.servers, after.servers)
        drained = self._drained(plan_changes(after.servers, before.servers, basis.config.ipvs.exclude_cidrs))
        writes = self._write_members(new, gone)
        if drained.changes:
            writes |= make_changes(self._ipvs, drained.changes, self._namespace.name)
        self._waiting = drained.waiting
        return writes

    def remove_drained(self) -> int:
        """Remove the real servers whose last connection has ended since; return how many."""
        servers = {change.server.key: change.server for change in self._waiting.values()}
        held = {key: self._ipvs.read_reals(server) for key, server in servers.items()}
        due = plan_removals(self._waiting, held)
        make_changes(self._ipvs, due.changes, self._namespace.name)
        self._waiting = due.waiting
        return len(due.changes)

    def forget(self) -> None:
        """Forget what waits: its virtual servers are gone; see Writer."""
        self._waiting = {}

    def _claim(self, before: Sequence[VirtualServer], after: Sequence[VirtualServer]) -> None:
        keys = {server.key for server in (*before, *after)}
        shared = {key for key in keys if self._claims[key] > 1}
        self._claims.subtract(server.key for server in before)
        self._claims.update(server.key for server in after)
        if shared or any(self._claims[key] > 1 for key in keys):
            raise FullSyncNeededError("two Services claim one address and port")

    def _drained(self, changes: Sequence[Change]) -> Draining:
        asked = {
            change.server.key: change.server
            for change in changes
            if change.command is Command.DEL_DEST and change.server.protocol == "TCP"
        }
        busy = connections_of({key: self._ipvs.read_reals(server) for key, server in asked.items()})
        return plan_draining(changes, self._waiting, busy)

    def _write_members(self, new: Sequence[Member], gone: Sequence[Member]) -> Writes:
        if not new and not gone:
            return {}
        bound = [member for name, member in new if name == BOUND]
        released = [member for name, member in gone if name == BOUND]
        addresses = change_addresses(self._namespace, bound, released) if bound or released else 0
        members = [
            *(MemberChange("add", *one) for one in new),
            *(MemberChange("del", *one) for one in gone),
        ]
        send_members(self._netfilter, members)
        return counted(addresses=addresses, ipset_members=len(members))
