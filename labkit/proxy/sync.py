"""Proxier: kube-proxy of one node of the lab, alive: a cluster in, a programmed namespace out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from labkit.errors import ProgramError, RequestError
from labkit.proxy.conntrack import delete_flows, plan_stale_flows
from labkit.proxy.extension import NO_EXTENSION, Extension
from labkit.proxy.ipvs import IpvsPlan
from labkit.proxy.plans import Mode, Plan, find_node, mode_settings, plan_ports
from labkit.proxy.program import Counts, clear, read_counts
from labkit.proxy.program_device import read_node_addresses
from labkit.proxy.program_tables import find_backend
from labkit.proxy.services import service_ports
from labkit.proxy.state import diff_states, plan_state, read_state
from labkit.proxy.sync_iptables import IptablesWriter
from labkit.proxy.sync_ipvs import IpvsWriter
from labkit.proxy.sync_nftables import NftablesWriter
from labkit.proxy.sync_report import SyncReport
from labkit.proxy.tracking import ClusterChanges, TrackedCluster
from labkit.proxy.writers import Basis, FullSyncNeededError, Ports, PortsChange, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.ipvs_draining import Key
    from labkit.proxy.program_restore import Backend
    from labkit.spec.model import ClusterSpec
    from labkit.spec.proxyconfig import ProxyConfig

_FIRST = "the first one"
_WRITERS: dict[Mode, Callable[[Namespace, Backend], Writer]] = {
    "iptables": IptablesWriter,
    "ipvs": IpvsWriter,
    "nftables": NftablesWriter,
}


@dataclass(slots=True)
class _Synced:
    """What the node is programmed for, from the good end of one sync to the beginning of the next."""

    mode: Mode
    basis: Basis
    ports: dict[str, Ports]

    def plan(self) -> Plan:
        ports = [port for some in self.ports.values() for port in some]
        return plan_ports(self.mode, ports, self.basis.settings, self.basis.config, self.basis.extension)


class Proxier:
    """Keeps one node's namespace in step with a cluster, in one mode at a time.

    `mode` and `config` may be changed between two syncs; what a former mode made goes with the next one. The
    first sync is full: it reaches its state from any other. Later ones write only what changed, as long as
    nothing happened that concerns all Services.
    """

    def __init__(
        self,
        namespace: Namespace,
        node: str,
        mode: Mode,
        config: ProxyConfig,
        backend: Backend | None = None,
    ) -> None:
        """Take charge of `namespace`, which is the node called `node`; nothing is written yet.

        `backend` is the kind of iptables (None: the one that works here, legacy first).
        """
        self.namespace = namespace
        self.node = node
        self.mode: Mode = mode
        self.config = config
        self.backend = backend or find_backend(namespace)
        self._writers: dict[Mode, Writer] = {}
        self._wanted: TrackedCluster | None = None
        self._extension = NO_EXTENSION
        self._synced: _Synced | None = None
        self._why_full = _FIRST  # the reason why there is nothing in `_synced`
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """What the node is programmed with. Raises RequestError before the first `sync`."""
        if self._plan is None:
            if self._synced is None:
                raise self._not_programmed()
            self._plan = self._synced.plan()
        return self._plan

    @property
    def draining(self) -> tuple[Key, ...]:
        """In IPVS mode, the removed real servers that wait for their connections to end."""
        writer = self._writers.get("ipvs")
        return writer.draining if isinstance(writer, IpvsWriter) else ()

    def sync(self, cluster: ClusterSpec, extension: Extension = NO_EXTENSION) -> SyncReport:
        """Program the node for `cluster`, whatever it held before.

        Raises RequestError (unknown node or scheduler) and ProgramError (the guest refused something); the
        rules from before are in force then, and the next sync is full.
        """
        start = time.perf_counter()
        basis = self._read_basis(cluster, extension)
        if self._wanted is None:
            self._wanted = TrackedCluster(cluster)
            return self._reach(start, basis, ClusterChanges())
        return self._reach(start, basis, self._wanted.become(cluster))

    def update(self, changes: ClusterChanges) -> SyncReport:
        """Program the node for what has changed in the cluster of the last sync.

        The node itself counts as unchanged. What it costs does not grow with the cluster, as far as the mode
        allows. Raises what `sync` raises, and RequestError before the first `sync`.
        """
        start = time.perf_counter()
        self._known_cluster().apply(changes)
        return self._reach(start, self._last_basis(), changes)

    def resync(self) -> SyncReport:
        """Program the node anew for the cluster of the last sync, whatever somebody else has done to it.

        kube-proxy does so when it finds its canary chains gone. Raises what `update` raises.
        """
        start = time.perf_counter()
        basis = self._read_basis(self._known_cluster().spec, self._extension)
        return self._reach(start, basis, ClusterChanges(), "asked for")

    def remove_drained(self) -> int:
        """Remove the real servers whose last connection has ended since, and return how many.

        kube-proxy asks every minute (`ipvs_draining.CHECK_INTERVAL_S`); who calls this is its clock.
        """
        writer = self._writers.get("ipvs")
        return writer.remove_drained() if isinstance(writer, IpvsWriter) else 0

    def differences(self) -> tuple[str, ...]:
        """Return in words what the node holds otherwise than it should; nothing if all is well.

        Real servers that drain and what affinity remembers count as differences. RequestError before `sync`.
        """
        wanted = plan_state(self.plan, self.backend)
        return diff_states(wanted, read_state(self.namespace, self.backend))

    def counts(self) -> Counts:
        """Return how many new connections each endpoint of each service port has been given on this node.

        In IPVS mode the guest adds them up every two seconds: they may be that old. Raises RequestError in
        nftables mode, whose rules have no counters.
        """
        return read_counts(self.plan, self.namespace, self.backend)

    def cleanup(self) -> None:
        """Remove all that kube-proxy made on the node, and nothing else.

        Which virtual servers are its own it knows from the last sync; without one it takes all for its own.
        """
        plan = self._synced.plan() if self._synced else None
        own = {server.key for server in plan.virtual_servers} if isinstance(plan, IpvsPlan) else None
        self._synced, self._plan, self._wanted, self._why_full = None, None, None, _FIRST
        clear(self.namespace, self.backend, self.config.ipvs.exclude_cidrs, own)
        for writer in self._writers.values():
            writer.forget()

    def _reach(self, start: float, basis: Basis, changes: ClusterChanges, why: str = "") -> SyncReport:
        """Make the node what the cluster wants; `changes` are what is different since the last sync."""
        synced, why = self._synced, why or self._reason(basis)
        self._synced, self._plan, self._why_full = None, None, "the last one failed"
        if synced is not None and not why:
            changed = self._follow(synced, changes)
            report = self._write_changes(synced, changed)
        else:
            before = synced.ports if synced else {}
            synced = _Synced(self.mode, basis, self._all_ports(basis))
            changed = _differences(before, synced.ports)
            report = self._write_all(synced, why)
        flows = delete_flows(self.namespace, plan_stale_flows(changed.values()))
        self._synced = synced
        return replace(
            report,
            services=tuple(changed),
            stale_flows=flows,
            seconds=time.perf_counter() - start,
        )

    def _reason(self, basis: Basis) -> str:
        """Return why everything must be written, "" if it need not."""
        if self._synced is None:
            return self._why_full
        former = self._synced.basis
        reasons = (
            (self._synced.mode != self.mode, "another mode"),
            (former.settings != basis.settings, "the node or its configuration changed"),
            (former.config != basis.config, "the configuration changed"),
            (former.extension != basis.extension, "other schedulers or weights"),
        )
        return next((why for holds, why in reasons if holds), "")

    def _follow(self, synced: _Synced, changes: ClusterChanges) -> dict[str, PortsChange]:
        """Bring the ports in `synced` up to date and return those that differ."""
        wanted = self._known_cluster()
        changed = {}
        for key in changes.touched:
            before, after = synced.ports.get(key, ()), _ports_of(wanted, key, synced.basis)
            if before != after:
                changed[key] = PortsChange(before, after)
                synced.ports[key] = after
        if changes.services:
            synced.ports = {key: synced.ports.get(key, ()) for key in wanted.services}
        return changed

    def _all_ports(self, basis: Basis) -> dict[str, Ports]:
        wanted = self._known_cluster()
        return {key: _ports_of(wanted, key, basis) for key in wanted.services}

    def _write_changes(self, synced: _Synced, changed: Mapping[str, PortsChange]) -> SyncReport:
        try:
            writes = self._writer().write_changes(synced.basis, changed, synced.ports) if changed else {}
        except FullSyncNeededError as error:
            return self._write_all(synced, str(error))
        except ProgramError as error:
            return self._write_all(synced, f"the partial one failed: {error.message}")
        return SyncReport(self.node, self.mode, "partial", writes=MappingProxyType(writes))

    def _write_all(self, synced: _Synced, why: str) -> SyncReport:
        writes = self._writer().write_all(synced.basis, synced.ports)
        for mode, writer in self._writers.items():
            if mode != self.mode:
                writer.forget()
        return SyncReport(self.node, self.mode, "full", why, writes=MappingProxyType(writes))

    def _writer(self) -> Writer:
        if self.mode not in self._writers:
            self._writers[self.mode] = _WRITERS[self.mode](self.namespace, self.backend)
        return self._writers[self.mode]

    def _read_basis(self, cluster: ClusterSpec, extension: Extension) -> Basis:
        self._extension = extension
        node = find_node(cluster, self.node)
        addresses = read_node_addresses(self.namespace)
        return Basis(mode_settings(self.mode, node, self.config, addresses), self.config, extension)

    def _last_basis(self) -> Basis:
        synced = self._synced
        if synced is not None and synced.mode == self.mode and synced.basis.config is self.config:
            return synced.basis
        return self._read_basis(self._known_cluster().spec, self._extension)

    def _known_cluster(self) -> TrackedCluster:
        if self._wanted is None:
            raise self._not_programmed()
        return self._wanted

    def _not_programmed(self) -> RequestError:
        return RequestError(f"node {self.node} is not programmed", todo="call sync(cluster) first")


def _ports_of(wanted: TrackedCluster, key: str, basis: Basis) -> Ports:
    service = wanted.services.get(key)
    return service_ports(service, wanted.slices_of(key), basis.settings) if service else ()


def _differences(before: Mapping[str, Ports], after: Mapping[str, Ports]) -> dict[str, PortsChange]:
    changes = ((key, PortsChange(before.get(key, ()), after.get(key, ()))) for key in {**before, **after})
    return {key: change for key, change in changes if change.before != change.after}
