"""Virtual servers in a namespace: what its IPVS can do, made what a plan says, removed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.errors import ProgramError, RequestError
from labkit.proxy.ipvs import VirtualServer
from labkit.proxy.ipvs_changes import plan_changes
from labkit.proxy.ipvs_draining import connections_of, plan_draining
from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.writers import counted
from labkit.spec.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from labkit.proxy.ipvs import IpvsPlan
    from labkit.proxy.ipvs_draining import Draining, Key
    from labkit.proxy.ipvs_messages import CountedServer
    from labkit.proxy.ipvs_netlink import IpvsSocket
    from labkit.proxy.writers import Writes

PROBE_ADDRESS, PROBE_PORT = "198.51.100.0", 20000  # kube-proxy's own: TEST-NET-2, never routed


@dataclass(frozen=True, slots=True)
class HeldServers:
    """What a namespace's IPVS holds, and which removals of real servers wait for connections to end."""

    servers: Sequence[CountedServer]
    waiting: Mapping[Key, Change]

    def drained(self, plan: IpvsPlan) -> Draining:
        """Return the changes that make it what `plan` says."""
        known = [self._known(one.server) for one in self.servers]
        changes = plan_changes(plan.virtual_servers, known, plan.excluded_cidrs)
        connections = connections_of({one.server.key: one.reals for one in self.servers})
        waiting = {key: change for key, change in self.waiting.items() if key in connections}
        return plan_draining(changes, waiting, connections)

    def _known(self, server: VirtualServer) -> VirtualServer:
        """Return a virtual server without the real servers that wait: they are gone already, in a sense."""
        if not self.waiting:
            return server
        left = tuple(one for one in server.real_servers if (server.key, one.name) not in self.waiting)
        return replace(server, real_servers=left)


def schedulers_of(ipvs: IpvsSocket) -> tuple[str, ...]:
    """Return the schedulers that the guest has, found by asking for each; their modules are loaded."""
    return tuple(name for name in SCHEDULERS if _accepts(ipvs, name))


def require_schedulers(
    ipvs: IpvsSocket, wanted: Iterable[VirtualServer], held: Iterable[CountedServer]
) -> None:
    """Raise RequestError where the guest lacks a scheduler of `wanted`; those in use are not asked for."""
    known = {one.server.scheduler for one in held}
    for name in dict.fromkeys(server.scheduler for server in wanted):
        if name not in known and not _accepts(ipvs, name):
            there = ", ".join(schedulers_of(ipvs))
            raise RequestError(f"the guest has no IPVS scheduler {name!r}", todo=f"use one of: {there}")


def make_changes(ipvs: IpvsSocket, changes: Sequence[Change], where: str) -> Writes:
    """Make the changes in their order and return how many. ProgramError for one refused, after all others."""
    refused = ipvs.change(changes)
    if refused:
        first = refused[0]
        real = f" -> {first.change.real.name}" if first.change.real else ""
        raise ProgramError(
            f"the guest refused {len(refused)} of {len(changes)} changes to virtual servers; "
            f"the first one: {first.change.command.name}: {os.strerror(first.error)}",
            where=f"{where}, {first.change.server.key}{real}",
        )
    reals = sum(change.real is not None for change in changes)
    return counted(virtual_servers=len(changes) - reals, real_servers=reals)


def remove_servers(
    ipvs: IpvsSocket, where: str, excluded_cidrs: Iterable[str], own: Collection[str] | None
) -> Writes:
    """Remove the virtual servers whose keys are `own` (None: all), but for those in `excluded_cidrs`."""
    held = [one.server for one in ipvs.read()]
    ours = [server for server in held if own is None or server.key in own]
    return make_changes(ipvs, plan_changes((), ours, excluded_cidrs), where)


def _accepts(ipvs: IpvsSocket, scheduler: str) -> bool:
    probe = VirtualServer(PROBE_ADDRESS, PROBE_PORT, "TCP", scheduler, 0, 0, (), "")
    if ipvs.change([Change(Command.NEW_SERVICE, probe)]):
        return False
    ipvs.change([Change(Command.DEL_SERVICE, probe)])
    return True
