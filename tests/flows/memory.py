"""What node-1 remembers of its clients, forgotten."""

from __future__ import annotations

import time
from ipaddress import IPv4Address
from pathlib import Path

from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.sync import Proxier

LONGEST_EXPIRY_S = 0.5
_CONNECTIONS = Path("/proc/thread-self/net/ip_vs_conn")
_RECENT = Path("/proc/thread-self/net/xt_recent")


def forget_affinity(proxier: Proxier) -> None:
    """Forget who is kept to which endpoint, in iptables and nftables mode; called in the node's namespace."""
    plan = proxier.plan
    if isinstance(plan, NftablesPlan):
        sets = [
            one.name for one in plan.transaction if one.kind == "set" and one.name.startswith("affinity-")
        ]
        flushed = proxier.namespace.command(
            ["nft", "-f", "-"], stdin="".join(f"flush set ip kube-proxy {name}\n" for name in sets)
        )
        assert flushed.status == 0, flushed.stderr
        return
    for clients in _RECENT.iterdir():
        clients.write_text("/")


def await_expiry(address: str, port: int) -> None:
    """Wait until IPVS has ended the UDP connection from there; called in the namespace of the node.

    With expire_nodest_conn Linux ends it a tick after its real server; without, the wait is for nothing.
    """
    start = f"UDP {int(IPv4Address(address)):08X} {port:04X} "
    end = time.monotonic() + LONGEST_EXPIRY_S
    while start in _CONNECTIONS.read_text() and time.monotonic() < end:
        time.sleep(0.01)
