"""What this Linux can do for the lab, asked of it by doing it in a network namespace of its own.

Run inside: `python -m labkit.guest.probe` prints the answer as JSON. The whole probe takes a few milliseconds
where the modules are loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
from dataclasses import asdict, dataclass

from labkit.guest import syscalls
from labkit.guest.modules import IPVS_SCHEDULERS

_IP_VS_SO_SET_ADD = 1154  # linux/ip_vs.h
_SERVICE = struct.Struct("=H2x4sHxxI16sII4s")  # struct ip_vs_service_user
_RTM_NEWLINK, _NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 16, 1, 4, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1
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
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a Linux offers the lab; `missing_tools` maps a program to the Debian package that brings it."""

    schedulers: tuple[str, ...]
    link_kinds: tuple[str, ...]
    netem: bool
    iptables_legacy: bool
    ipset: bool
    nf_tables: bool
    trace: bool
    missing_tools: dict[str, str]

    @property
    def sufficient(self) -> bool:
        """Whether a lab can run here."""
        links = {"dummy", "veth", "bridge"} <= set(self.link_kinds)
        return "rr" in self.schedulers and links and self.iptables_legacy and self.ipset


def read_capabilities() -> Capabilities:
    """Try what the lab needs, in the network namespace of this process: use one made for it."""
    return Capabilities(
        schedulers=tuple(name for name in IPVS_SCHEDULERS if _takes_scheduler(name)),
        link_kinds=tuple(kind for kind in ("dummy", "veth", "bridge") if _makes_link(kind)),
        netem=_works("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"),
        iptables_legacy=_works("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-m", "statistic",
                               "--mode", "random", "--probability", "0.5", "-j", "RETURN"),
        ipset=_works("ipset", "create", "probe", "hash:ip,port"),
        nf_tables=_works("nft", "add", "table", "ip", "probe"),
        trace=_works("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-j", "TRACE"),
        missing_tools=missing_tools(),
    )  # fmt: skip


def read_schedulers() -> tuple[str, ...]:
    """Return the IPVS schedulers of this Linux, asked in a network namespace of its own (a forked child's)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _enter_own_network()
            names = [name for name in IPVS_SCHEDULERS if _takes_scheduler(name)]
            os.write(writer, " ".join(names).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        names = answer.read().split()
    os.waitpid(pid, 0)
    return tuple(names)


def missing_tools() -> dict[str, str]:
    """Return the programs that the lab calls and this machine does not have, with their Debian packages."""
    return {tool: package for tool, package in _TOOLS.items() if shutil.which(tool) is None}


def _takes_scheduler(name: str) -> bool:
    service = _SERVICE.pack(
        socket.IPPROTO_TCP, b"\x0a\x00\x00\x01", 80, 0, name.encode(), 0, 0, b"\xff\xff\xff\xff"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as control:
        for option, needed in ((_IP_VS_SO_SET_ADD, True), (_IP_VS_SO_SET_ADD + 2, False)):
            try:
                control.setsockopt(socket.IPPROTO_IP, option, service)
            except OSError:
                if needed:
                    return False
    return True


def _makes_link(kind: str) -> bool:
    name = f"probe-{kind}".encode() + b"\0"
    attributes = _attribute(_IFLA_IFNAME, name)
    attributes += _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, kind.encode()))
    body = bytes(16) + attributes
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + body)
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    return bool(error == 0)


def _attribute(type_: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, type_) + value + bytes(-length % 4)


def _works(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _enter_own_network() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.bring_loopback_up()


if __name__ == "__main__":
    _enter_own_network()
    print(json.dumps(asdict(read_capabilities())))  # noqa: T201 - the answer
