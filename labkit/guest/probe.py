"""What this Linux can do for the lab, asked of it by doing it in a network namespace of its own.

Run inside: `python -m labkit.guest.probe` prints the answer as JSON; with the argument `forwarding`
only what it can forward with, which asks far less.
"""

from __future__ import annotations

import _socket as socket  # `socket` takes time to import, and this is asked before each guest
import contextlib
import json
import os
import struct
import sys
from functools import cache
from typing import TYPE_CHECKING

from labkit.guest import syscalls
from labkit.guest.modules import IPVS_SCHEDULERS
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

_IP_VS_SO_SET_ADD = 1154  # linux/ip_vs.h
_SERVICE = struct.Struct("=H2x4sHxxI16sII4s")  # struct ip_vs_service_user
_NEEDED_LINKS = ("dummy", "veth", "bridge")
_NEEDED_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "dh", "sh", "sed", "nq")
_RTM_NEWLINK, _RTM_NEWQDISC = 16, 36
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 1, 4, 0x400
_TCA_KIND, _TCA_OPTIONS, _TC_H_ROOT = 1, 2, 0xFFFFFFFF
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1
# What kube-proxy's nftables mode is made of; each expression is a module, or a choice when a Linux was built.
_NFT_RULES = """
add table ip probe
add set ip probe clients { type ipv4_addr ; flags dynamic,timeout ; timeout 60s ; }
add map ip probe services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add chain ip probe endpoint
add rule ip probe endpoint update @clients { ip saddr }
add rule ip probe endpoint meta l4proto tcp dnat to 192.0.2.1:80
add chain ip probe nat { type nat hook prerouting priority -100 ; }
add rule ip probe nat ip daddr . meta l4proto . th dport vmap @services
add rule ip probe nat fib daddr type local numgen random mod 1 vmap { 0 : goto endpoint }
add chain ip probe after { type nat hook postrouting priority 100 ; }
add rule ip probe after mark set mark xor 0x4000 masquerade fully-random
add chain ip probe filter { type filter hook input priority -110 ; }
add rule ip probe filter ct state new reject
"""
_TOOLS = {
    "iptables-legacy": "iptables",
    "ip": "iproute2",
    "tc": "iproute2",
    "ipset": "ipset",
    "ipvsadm": "ipvsadm",
    "conntrack": "conntrack",
    "modprobe": "kmod",
    "nft": "nftables",
    "tcpdump": "tcpdump",
    "ping": "iputils-ping",
    "curl": "curl",
}


class Capabilities(Record):
    """What a Linux offers the lab; `missing_tools` maps a program to the Debian package that brings it."""

    schedulers: tuple[str, ...]
    link_kinds: tuple[str, ...]
    netem: bool
    iptables_legacy: bool
    ipset: bool
    nf_tables: bool
    trace: bool
    missing_tools: dict[str, str]


class Forwarding(Record):
    """What a Linux can forward Services with: IPVS schedulers, and kube-proxy's rules for nftables."""

    schedulers: tuple[str, ...]
    nf_tables: bool


def read_forwarding() -> Forwarding:
    """Ask for schedulers and rules, in the network namespace of this process: use one made for it."""
    return Forwarding(
        schedulers=tuple(name for name in IPVS_SCHEDULERS if takes_scheduler(name)),
        nf_tables=takes_nftables(),
    )


def read_capabilities() -> Capabilities:
    """Try what the lab needs, in the network namespace of this process: use one made for it."""
    return Capabilities(
        schedulers=tuple(name for name in IPVS_SCHEDULERS if takes_scheduler(name)),
        link_kinds=tuple(kind for kind in _NEEDED_LINKS if makes_link(kind)),
        netem=makes_netem(),
        iptables_legacy=_works("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-m", "statistic",
                               "--mode", "random", "--probability", "0.5", "-j", "RETURN"),
        ipset=_works("ipset", "create", "probe", "hash:ip,port"),
        nf_tables=takes_nftables(),
        trace=_works("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-j", "TRACE"),
        missing_tools=missing_tools(),
    )  # fmt: skip


def read_lacking(flags: int) -> tuple[str, ...]:
    """Return what this Linux lacks to run a lab, asked in a child after unshare(`flags`).

    The names are those of modules; `namespaces` stands for the right to make them.
    """
    try:
        return tuple(answer_apart(flags, _lacking))
    except PermissionError:
        return ("namespaces",)


def answer_apart(flags: int, question: Callable[[], list[str]]) -> list[str]:
    """Return the answer to a question asked in a child process with namespaces of its own.

    Raises PermissionError when this user may not make them.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(flags)
            syscalls.bring_loopback_up()
            os.write(writer, json.dumps(question()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        raise PermissionError("this user may not make namespaces")
    return [str(name) for name in json.loads(text)]


def _lacking() -> list[str]:
    schedulers = [f"ip_vs_{name}" for name in _NEEDED_SCHEDULERS if not takes_scheduler(name)]
    if len(schedulers) == len(_NEEDED_SCHEDULERS):
        return ["ip_vs"]
    links = [kind for kind in _NEEDED_LINKS if not makes_link(kind)]
    return [*schedulers, *links, *([] if makes_netem() else ["sch_netem"])]


def missing_tools() -> dict[str, str]:
    """Return the programs that the lab calls and this machine does not have, with their Debian packages."""
    import shutil

    return {tool: package for tool, package in _TOOLS.items() if shutil.which(tool) is None}


def takes_scheduler(name: str) -> bool:
    """Make and remove a virtual server with that scheduler in this network namespace; False if refused."""
    service = _SERVICE.pack(
        socket.IPPROTO_TCP, b"\x0a\x00\x00\x01", 80, 0, name.encode(), 0, 0, b"\xff\xff\xff\xff"
    )
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)) as control:
        for option, needed in ((_IP_VS_SO_SET_ADD, True), (_IP_VS_SO_SET_ADD + 2, False)):
            try:
                control.setsockopt(socket.IPPROTO_IP, option, service)
            except OSError:
                if needed:
                    return False
    return True


@cache
def takes_nftables() -> bool:
    """Return whether this Linux takes rules as kube-proxy's nftables mode has them; they are not put in."""
    return _works("nft", "--check", "--file", "-", given=_NFT_RULES)


def makes_link(kind: str) -> bool:
    """Make an interface of that kind in this network namespace and return whether that worked."""
    link_info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, kind.encode()))
    return _asks_netlink(
        _RTM_NEWLINK, bytes(16) + _attribute(_IFLA_IFNAME, f"probe-{kind}\0".encode()) + link_info
    )


def makes_netem() -> bool:
    """Give lo a netem queue without delay in this network namespace and return whether that worked."""
    message = struct.pack("=BxxxiIII", 0, socket.if_nametoindex("lo"), 0, _TC_H_ROOT, 0)
    options = _attribute(_TCA_OPTIONS, struct.pack("=6I", 0, 1000, 0, 0, 0, 0))
    return _asks_netlink(_RTM_NEWQDISC, message + _attribute(_TCA_KIND, b"netem\0") + options)


def _asks_netlink(type_: int, body: bytes) -> bool:
    header = struct.pack("=IHHII", 16 + len(body), type_, _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE, 1, 0)
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) as netlink:
        netlink.send(header + body)
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    return bool(error == 0)


def _attribute(type_: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, type_) + value + bytes(-length % 4)


def _works(*argv: str, given: str = "") -> bool:
    import subprocess

    try:
        done = subprocess.run(argv, input=given.encode(), capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.bring_loopback_up()
    read = read_forwarding if sys.argv[1:] == ["forwarding"] else read_capabilities
    print(json.dumps(read()._asdict()))  # noqa: T201 - the answer
