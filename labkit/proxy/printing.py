"""A plan as text: the JSON document of `labkit render`, and a shell script that a professional could type.

The script runs as it stands, as root on the node: iptables-restore, nft, ipset, ip, ipvsadm in their own
syntax.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from labkit.proxy.ipvs import DEVICE, MH_PORT, IpvsPlan, VirtualServer
from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.nftables_statements import render_transaction
from labkit.proxy.restore import render_restore
from labkit.proxy.rules import undeclared_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.proxy.iptables import IptablesPlan
    from labkit.proxy.plans import Plan
    from labkit.proxy.rules import Jump

KUBE_PROXY = "1.30.3"
SERVICE_OPTION = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as `labkit render --format json` prints it."""
    document: dict[str, Any] = {
        "kube_proxy": KUBE_PROXY,
        "mode": plan.mode,
        "sysctls": [f"{path}={value}" for path, value in plan.sysctls.items()],
    }
    if isinstance(plan, NftablesPlan):
        return document | {"nft": render_transaction(plan.transaction)}
    document["jumps"] = [" ".join(jump_arguments(jump)) for jump in plan.jumps]
    document["restore"] = render_restore(plan.tables)
    if isinstance(plan, IpvsPlan):
        document["virtual_servers"] = {server.key: _server(server) for server in plan.virtual_servers}
        document["ipsets"] = {one.name: list(one.members) for one in plan.ipsets}
        document["ipset_types"] = {one.name: f"{one.type} inet" for one in plan.ipsets}
    return document


def plan_script(plan: Plan) -> str:
    """Return the plan as a shell script that programs it, in the order in which kube-proxy does."""
    lines = [f"# kube-proxy {KUBE_PROXY}, {plan.mode} mode, on node {plan.node}: a full sync"]
    lines += _section("sysctls", (f"sysctl -qw {path}={value}" for path, value in plan.sysctls.items()))
    if isinstance(plan, NftablesPlan):
        transaction = (statement.line for statement in plan.transaction)
        lines += _section("one transaction: all of it or nothing", _fed("nft -f -", transaction))
    else:
        lines += _table_sections(plan)
    return "".join(f"{line}\n" for line in lines)


def _table_sections(plan: IptablesPlan | IpvsPlan) -> Iterator[str]:
    if isinstance(plan, IpvsPlan):
        yield from _section(
            "sets of addresses and ports that the rules ask", _fed("ipset restore -exist", ipset_lines(plan))
        )
    restore = render_restore(plan.tables).splitlines()
    yield from _section("chains and rules", _fed("iptables-restore --noflush --counters", restore))
    new = (f"iptables -t {table} -N {chain}" for table, chain in undeclared_targets(plan.tables, plan.jumps))
    yield from _section("chains that the kubelet has as well", new)
    jumps = (shlex.join(["iptables", *jump_arguments(jump)]) for jump in plan.jumps)
    yield from _section("jumps from the built-in chains; each goes to the head of its chain", jumps)
    if isinstance(plan, IpvsPlan):
        yield from _section(
            "addresses that make the node accept the traffic; the device stays down", _device_lines(plan)
        )
        yield from _section("virtual servers and their real servers", _fed("ipvsadm -R", ipvsadm_lines(plan)))
        yield from _section("time-outs of idle connections", _timeout_lines(plan))


def jump_arguments(jump: Jump) -> tuple[str, ...]:
    """Return the arguments of the `iptables` command that inserts a jump."""
    return ("-t", jump.table, "-I", jump.chain, *jump.rule)


def ipset_lines(plan: IpvsPlan) -> Iterator[str]:
    """Yield the lines of `ipset restore` that make the sets and fill them.

    No hash set takes a network of all addresses; kube-proxy tries, logs the refusal and goes on.
    """
    for one in plan.ipsets:
        yield f"create {one.name} {one.type} {one.options}"
        for member in one.members:
            refused = "# ipset refuses this one, so that nobody comes in by it: "
            yield f"{refused if member.endswith('/0') else ''}add {one.name} {member}"


def ipvsadm_lines(plan: IpvsPlan) -> Iterator[str]:
    """Yield the lines of `ipvsadm -R` that add the virtual servers and their real servers."""
    for server in plan.virtual_servers:
        virtual = f"{SERVICE_OPTION[server.protocol]} {server.address}:{server.port}"
        persistent = f" -p {server.timeout_s}" if server.timeout_s else ""
        hashing = " -b mh-port" if server.flags & MH_PORT else ""
        yield f"-A {virtual} -s {server.scheduler}{persistent}{hashing}"
        yield from (f"-a {virtual} -r {real.name} -m -w {real.weight}" for real in server.real_servers)


def _server(server: VirtualServer) -> dict[str, Any]:
    return {
        "scheduler": server.scheduler,
        "flags": server.flags,
        "timeout": server.timeout_s,
        "real": [f"{real.name} w={real.weight}" for real in server.real_servers],
    }


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = list(lines)
    return ["", f"# {title}", *body] if body else []


def _fed(command: str, lines: Iterable[str]) -> Iterator[str]:
    body = list(lines)
    if body:
        yield f"{command} <<'END'"
        yield from body
        yield "END"


def _device_lines(plan: IpvsPlan) -> Iterator[str]:
    yield f"ip link add {DEVICE} type dummy"
    yield from (f"ip address add {address}/32 dev {DEVICE}" for address in plan.addresses)


def _timeout_lines(plan: IpvsPlan) -> Iterator[str]:
    timeouts = plan.timeouts
    if timeouts.any:
        yield f"ipvsadm --set {timeouts.tcp_s} {timeouts.tcp_fin_s} {timeouts.udp_s}"
