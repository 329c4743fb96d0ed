"""Put a plan into a namespace, take it out again, and read back what it has counted.

`apply_*` reach the plan from any state, the other modes' included; applying a plan twice changes nothing.
`clear` leaves what is not kube-proxy's, and sysctls, which kube-proxy does not take back either.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, ProgramError, RequestError
from labkit.guest.probe import takes_nftables
from labkit.proxy.ipvs import IpvsPlan, VirtualServer
from labkit.proxy.ipvs_changes import plan_changes
from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.plans import MODES, Mode
from labkit.proxy.program_device import apply_addresses, delete_device, has_device
from labkit.proxy.program_nft import apply_transaction, delete_table
from labkit.proxy.program_sets import apply_sets, destroy_sets, read_sets, refill_sets
from labkit.proxy.program_tables import apply_tables, read_tables
from labkit.spec.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.iptables import IptablesPlan
    from labkit.proxy.ipvs_messages import CountedServer
    from labkit.proxy.plans import Plan
    from labkit.proxy.program_restore import Backend
    from labkit.proxy.rules import CountedTable

PROBE_ADDRESS, PROBE_PORT = "198.51.100.0", 20000  # kube-proxy's own: TEST-NET-2, never routed
Counts = dict[str, dict[str, int]]
"""New connections by service port, then by endpoint (`address:port`)."""


def apply_plan(plan: Plan, namespace: Namespace, backend: Backend) -> None:
    """Make the namespace what `plan` says; errors as for the `apply_` of its mode."""
    if isinstance(plan, IpvsPlan):
        apply_ipvs(plan, namespace, backend)
    elif isinstance(plan, NftablesPlan):
        apply_nftables(plan, namespace, backend)
    else:
        apply_iptables(plan, namespace, backend)


def apply_iptables(plan: IptablesPlan, namespace: Namespace, backend: Backend) -> None:
    """Program iptables mode; what another mode left behind goes.

    Raises ProgramError with the failing line and the guest's words; the rules from before are in force then.
    """
    _write_sysctls(plan, namespace)
    apply_tables(namespace, backend, plan.tables, plan.jumps, canary_tables=("mangle", "nat", "filter"))
    delete_table(namespace)
    if has_device(namespace):
        _clear_ipvs(namespace, ())


def apply_nftables(plan: NftablesPlan, namespace: Namespace, backend: Backend) -> None:
    """Program nftables mode; what another mode left behind goes. Other nftables tables stay as they are.

    Raises ProgramError with the failing line and nft's words; the rules from before are in force then.
    """
    _write_sysctls(plan, namespace)
    apply_transaction(namespace, plan.transaction)
    apply_tables(namespace, backend, (), ())
    if has_device(namespace):
        _clear_ipvs(namespace, ())


def apply_ipvs(plan: IpvsPlan, namespace: Namespace, backend: Backend) -> None:
    """Program IPVS mode; what another mode left behind goes.

    Raises RequestError for a scheduler that the guest lacks, before anything is written, and ProgramError for
    whatever else it refuses; the rules from before are in force then.
    """
    with namespace.run(IpvsSocket) as ipvs:
        held = ipvs.read()
        _check_schedulers(ipvs, plan.virtual_servers, held)
        _write_sysctls(plan, namespace)
        apply_addresses(namespace, plan.addresses)
        members = read_sets(namespace)
        apply_sets(namespace, plan.ipsets, members)
        try:
            apply_tables(namespace, backend, plan.tables, plan.jumps)
        except ProgramError:
            refill_sets(namespace, members)
            raise
        _change(
            ipvs,
            plan_changes(plan.virtual_servers, [one.server for one in held], plan.excluded_cidrs),
            namespace,
        )
        if plan.timeouts.any:
            ipvs.set_timeouts(plan.timeouts)
    delete_table(namespace)


def clear(namespace: Namespace, backend: Backend, excluded_cidrs: Iterable[str] = ()) -> None:
    """Remove all that kube-proxy made, in any mode; virtual servers in `excluded_cidrs` stay."""
    apply_tables(namespace, backend, (), ())
    delete_table(namespace)
    if has_device(namespace):
        _clear_ipvs(namespace, excluded_cidrs)


def read_virtual_servers(namespace: Namespace) -> list[CountedServer]:
    """Return the namespace's virtual servers with their real servers, connections and traffic."""
    with namespace.run(IpvsSocket) as ipvs:
        return ipvs.read()


def available_schedulers(namespace: Namespace) -> tuple[str, ...]:
    """Return the IPVS schedulers that the guest has, found by asking for each; their modules are loaded."""
    with namespace.run(IpvsSocket) as ipvs:
        return tuple(name for name in SCHEDULERS if _accepts(ipvs, name))


def available_modes() -> tuple[Mode, ...]:
    """Return the modes that this Linux can be programmed in: all but nftables where nf_tables is missing."""
    return tuple(mode for mode in MODES if mode != "nftables" or takes_nftables())


def require_mode(mode: Mode) -> None:
    """Raise CapabilityError where this Linux cannot be programmed in `mode`; nothing is changed."""
    if mode in available_modes():
        return
    if shutil.which("nft") is None:
        raise CapabilityError("nftables mode needs the program nft", todo="sudo apt-get install nftables")
    raise CapabilityError(
        "nftables mode cannot run here: this Linux has no nf_tables for IPv4",
        where=f"Linux {platform.release()}",
        todo="use iptables or ipvs mode, or a Linux of which `labkit doctor` says that it has nf_tables",
    )


def read_counts(plan: Plan, namespace: Namespace, backend: Backend) -> Counts:
    """Return how many new connections each endpoint of each service port has been given.

    In iptables mode they are the packets of the endpoints' DNAT rules, which see the first packet of a
    connection only and begin again at 0 whenever their chain is written. In IPVS mode they are the real
    servers' connections, over all addresses of the service port, as of the guest's last reckoning: it adds
    them up every two seconds. In nftables mode nobody counts: RequestError.
    """
    if isinstance(plan, NftablesPlan):
        raise RequestError(
            "kube-proxy's nftables rules count nothing",
            where=f"node {plan.node}",
            todo="ask who answered (lab.measure), or connection tracking: conntrack -L",
        )
    if isinstance(plan, IpvsPlan):
        return _count_connections(plan, read_virtual_servers(namespace))
    return _count_translations(plan, read_tables(namespace, backend))


def _write_sysctls(plan: Plan, namespace: Namespace) -> None:
    for path, value in plan.sysctls.items():
        namespace.write_sysctl(path, value)


def _check_schedulers(
    ipvs: IpvsSocket, wanted: Sequence[VirtualServer], held: Sequence[CountedServer]
) -> None:
    known = {one.server.scheduler for one in held}
    for name in dict.fromkeys(server.scheduler for server in wanted):
        if name not in known and not _accepts(ipvs, name):
            there = ", ".join(one for one in SCHEDULERS if _accepts(ipvs, one))
            raise RequestError(f"the guest has no IPVS scheduler {name!r}", todo=f"use one of: {there}")


def _accepts(ipvs: IpvsSocket, scheduler: str) -> bool:
    probe = VirtualServer(PROBE_ADDRESS, PROBE_PORT, "TCP", scheduler, 0, 0, (), "")
    if ipvs.change([Change(Command.NEW_SERVICE, probe)]):
        return False
    ipvs.change([Change(Command.DEL_SERVICE, probe)])
    return True


def _change(ipvs: IpvsSocket, changes: Sequence[Change], namespace: Namespace) -> None:
    refused = ipvs.change(changes)
    if refused:
        first = refused[0]
        real = f" -> {first.change.real.name}" if first.change.real else ""
        raise ProgramError(
            f"the guest refused {len(refused)} of {len(changes)} changes to virtual servers; "
            f"the first one: {first.change.command.name}: {os.strerror(first.error)}",
            where=f"{namespace.name}, {first.change.server.key}{real}",
        )


def _clear_ipvs(namespace: Namespace, excluded_cidrs: Iterable[str]) -> None:
    with namespace.run(IpvsSocket) as ipvs:
        held = [one.server for one in ipvs.read()]
        _change(ipvs, plan_changes((), held, excluded_cidrs), namespace)
    destroy_sets(namespace)
    delete_device(namespace)


def _count_connections(plan: IpvsPlan, held: Sequence[CountedServer]) -> Counts:
    owners = {server.key: server.service_port for server in plan.virtual_servers}
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in held:
        if one.server.key in owners:
            by_endpoint = counts[owners[one.server.key]]
            for real in one.reals:
                by_endpoint[real.real.name] += real.traffic.connections
    return {port: dict(by_endpoint) for port, by_endpoint in counts.items()}


def _count_translations(plan: IptablesPlan, tables: Mapping[str, CountedTable]) -> Counts:
    counts: Counts = {}
    chains = tables["nat"].chains if "nat" in tables else {}
    for chain, (port, endpoint) in plan.endpoint_chains.items():
        rules = chains[chain].rules if chain in chains else ()
        packets = sum(one.packets for one in rules if "DNAT" in one.rule)
        counts.setdefault(port, {})[endpoint] = packets
    return counts
