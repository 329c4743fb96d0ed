"""iptables mode, synced: everything in one restore, or the chains of what changed in one smaller one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.proxy.iptables import explains_endpoints, plan_iptables_ports
from labkit.proxy.iptables_changes import (
    Chains,
    Place,
    access_lines,
    changed_places,
    last_lines,
    own_lines,
    plan_rewrite,
    shared_chains,
)
from labkit.proxy.program import apply_iptables
from labkit.proxy.program_restore import Backend, write_restore
from labkit.proxy.writers import Basis, FullSyncNeededError, Ports, PortsChange, Writes, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.iptables_changes import Rewrite
    from labkit.proxy.services import ForwardedPort


class IptablesWriter:
    """Writes iptables mode into a namespace."""

    def __init__(self, namespace: Namespace, backend: Backend) -> None:
        """Take charge of the tables of `namespace`; nothing is written yet."""
        self._namespace = namespace
        self._backend = backend
        self._access: dict[str, Chains] = {}  # by Service; empty until a shared chain must be written
        self._endpoints = 0

    def write_all(self, basis: Basis, ports: Mapping[str, Ports]) -> Writes:
        """Write every chain; see Writer."""
        self._access = {}
        every = [port for some in ports.values() for port in some]
        self._endpoints = _endpoints(every)
        return apply_iptables(
            plan_iptables_ports(every, basis.settings),
            self._namespace,
            self._backend,
            basis.config.ipvs.exclude_cidrs,
        )

    def write_changes(
        self, basis: Basis, changes: Mapping[str, PortsChange], ports: Mapping[str, Ports]
    ) -> Writes:
        """Write the chains that differ; see Writer."""
        explained = self._explains(changes)
        before, after = self._chains(basis, changes, ports, explained=explained)
        rewrite = plan_rewrite(before, after)
        if rewrite.text:
            self._restore(rewrite, plan_rewrite(after, before))
        return counted(
            chains=len(rewrite.written),
            rules=sum(map(len, rewrite.written.values())),
            chains_removed=len(rewrite.removed),
        )

    def forget(self) -> None:
        """Forget the chains; see Writer."""
        self._access = {}

    def _explains(self, changes: Mapping[str, PortsChange]) -> bool:
        """Return whether endpoints' rules carry comments. A change of that concerns all Services at once."""
        before = explains_endpoints(self._endpoints)
        for change in changes.values():
            self._endpoints += _endpoints(change.after) - _endpoints(change.before)
        if explains_endpoints(self._endpoints) != before:
            raise FullSyncNeededError("the cluster became large, or is no longer: comments come or go")
        return before

    def _chains(
        self,
        basis: Basis,
        changes: Mapping[str, PortsChange],
        ports: Mapping[str, Ports],
        *,
        explained: bool,
    ) -> tuple[Chains, Chains]:
        """Return the chains that `changes` touch, as they are and as they shall be."""
        before: Chains = {}
        after: Chains = {}
        now = {key: access_lines(change.after) for key, change in changes.items()}
        places = frozenset[Place]().union(
            *(changed_places(access_lines(change.before), now[key]) for key, change in changes.items())
        )
        if places:
            held = self._access or self._access_before(changes, ports)
            self._access = {key: now[key] if key in now else held[key] for key in ports}
            last = last_lines(basis.settings)
            before |= shared_chains(places, held.values(), last)
            after |= shared_chains(places, self._access.values(), last)
        elif self._access:
            self._access.update(now)
        for change in changes.values():
            before |= own_lines(change.before, basis.settings, explained=explained)
            after |= own_lines(change.after, basis.settings, explained=explained)
        return before, after

    def _access_before(
        self, changes: Mapping[str, PortsChange], ports: Mapping[str, Ports]
    ) -> dict[str, Chains]:
        unchanged = {key: some for key, some in ports.items() if key not in changes}
        former = {key: change.before for key, change in changes.items()}
        return {key: access_lines(some) for key, some in (unchanged | former).items()}

    def _restore(self, rewrite: Rewrite, undoing: Rewrite) -> None:
        done = write_restore(self._namespace, self._backend, rewrite.text)
        if done.status:
            # Tables are committed one by one: the filter table may have changed already.
            write_restore(self._namespace, self._backend, undoing.text)
            raise ProgramError(
                f"the guest refused the changed chains: {done.complaint}", where=self._namespace.name
            )


def _endpoints(ports: Iterable[ForwardedPort]) -> int:
    return sum(len(port.every) for port in ports)
