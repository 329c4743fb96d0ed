"""Put a plan into a namespace, take it out again, and read back what it has counted.

`apply_*` reach the plan from any state, the other modes' included; applying a plan twice changes nothing.
`clear` leaves what is not kube-proxy's, and sysctls, which kube-proxy does not take back either.
"""

from __future__ import annotations

import platform
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, ProgramError, RequestError
from labkit.guest.probe import takes_nftables
from labkit.proxy.ipvs import IpvsPlan
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.plans import MODES, Mode
from labkit.proxy.program_device import apply_addresses, delete_device, has_device
from labkit.proxy.program_ipvs import (
    HeldServers,
    make_changes,
    remove_servers,
    require_schedulers,
    schedulers_of,
)
from labkit.proxy.program_nft import apply_transaction, delete_table
from labkit.proxy.program_sets import apply_sets, destroy_sets, read_sets, refill_sets
from labkit.proxy.program_tables import apply_tables, read_tables
from labkit.proxy.writers import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.iptables import IptablesPlan
    from labkit.proxy.ipvs_draining import Key
    from labkit.proxy.ipvs_messages import Change, CountedServer
    from labkit.proxy.plans import Plan
    from labkit.proxy.program_restore import Backend
    from labkit.proxy.rules import CountedTable
    from labkit.proxy.writers import Writes

Counts = dict[str, dict[str, int]]
"""New connections by service port, then by endpoint (`address:port`)."""


def apply_plan(plan: Plan, namespace: Namespace, backend: Backend) -> Writes:
    """Make the namespace what `plan` says; errors as for the `apply_` of its mode."""
    if isinstance(plan, IpvsPlan):
        return apply_ipvs(plan, namespace, backend)
    if isinstance(plan, NftablesPlan):
        return apply_nftables(plan, namespace, backend)
    return apply_iptables(plan, namespace, backend)


def apply_iptables(
    plan: IptablesPlan, namespace: Namespace, backend: Backend, excluded_cidrs: Iterable[str] = ()
) -> Writes:
    """Program iptables mode; what another mode left behind goes, virtual servers in `excluded_cidrs` stay.

    Raises ProgramError with the failing line and the guest's words; the rules from before are in force then.
    """
    _write_sysctls(plan, namespace)
    lines = apply_tables(
        namespace, backend, plan.tables, plan.jumps, canary_tables=("mangle", "nat", "filter")
    )
    tables = delete_table(namespace)
    return counted(lines=lines, tables_removed=tables) | _clear_ipvs(namespace, excluded_cidrs)


def apply_nftables(
    plan: NftablesPlan, namespace: Namespace, backend: Backend, excluded_cidrs: Iterable[str] = ()
) -> Writes:
    """Program nftables mode; what another mode left behind goes, virtual servers in `excluded_cidrs` stay.

    Raises ProgramError with the failing line and nft's words; the rules from before are in force then. Other
    nftables tables stay as they are.
    """
    _write_sysctls(plan, namespace)
    statements = apply_transaction(namespace, plan.transaction)
    lines = apply_tables(namespace, backend, (), ())
    return counted(statements=statements, lines=lines) | _clear_ipvs(namespace, excluded_cidrs)


def apply_ipvs(plan: IpvsPlan, namespace: Namespace, backend: Backend) -> Writes:
    """Program IPVS mode; what another mode left behind goes. Errors as for `write_ipvs`."""
    with namespace.run(IpvsSocket) as ipvs:
        writes, _ = write_ipvs(plan, namespace, backend, ipvs, HeldServers(ipvs.read(), {}))
        return writes


def write_ipvs(
    plan: IpvsPlan, namespace: Namespace, backend: Backend, ipvs: IpvsSocket, held: HeldServers
) -> tuple[Writes, Mapping[Key, Change]]:
    """Program IPVS mode, given what is `held`; return also which removals of real servers wait.

    Raises RequestError for a scheduler that the guest lacks, before anything is written, and ProgramError for
    whatever else it refuses; the rules from before are in force then.
    """
    require_schedulers(ipvs, plan.virtual_servers, held.servers)
    _write_sysctls(plan, namespace)
    addresses = apply_addresses(namespace, plan.addresses)
    members = read_sets(namespace)
    set_changes = apply_sets(namespace, plan.ipsets, members)
    try:
        lines = apply_tables(namespace, backend, plan.tables, plan.jumps)
    except ProgramError:
        refill_sets(namespace, members)
        raise
    drained = held.drained(plan)
    servers = make_changes(ipvs, drained.changes, namespace.name)
    if plan.timeouts.any:
        ipvs.set_timeouts(plan.timeouts)
    tables = delete_table(namespace)
    writes = counted(lines=lines, ipset_members=set_changes, addresses=addresses, tables_removed=tables)
    return writes | servers, drained.waiting


def clear(
    namespace: Namespace,
    backend: Backend,
    excluded_cidrs: Iterable[str] = (),
    own_servers: Collection[str] | None = None,
) -> None:
    """Remove all that kube-proxy made, in any mode; virtual servers in `excluded_cidrs` stay.

    `own_servers` are the keys of the virtual servers that are kube-proxy's, where they are known; else all
    are taken for its own, as kube-proxy itself does.
    """
    apply_tables(namespace, backend, (), ())
    delete_table(namespace)
    _clear_ipvs(namespace, excluded_cidrs, own_servers)


def read_virtual_servers(namespace: Namespace) -> list[CountedServer]:
    """Return the namespace's virtual servers with their real servers, connections and traffic."""
    with namespace.run(IpvsSocket) as ipvs:
        return ipvs.read()


def available_schedulers(namespace: Namespace) -> tuple[str, ...]:
    """Return the IPVS schedulers that the guest has, found by asking for each; their modules are loaded."""
    with namespace.run(IpvsSocket) as ipvs:
        return schedulers_of(ipvs)


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


def _clear_ipvs(
    namespace: Namespace, excluded_cidrs: Iterable[str], own: Collection[str] | None = None
) -> Writes:
    if not has_device(namespace):
        return {}
    with namespace.run(IpvsSocket) as ipvs:
        servers = remove_servers(ipvs, namespace.name, excluded_cidrs, own)
    return counted(ipsets_removed=destroy_sets(namespace), devices_removed=delete_device(namespace)) | servers


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
