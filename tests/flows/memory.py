"""What node-1 remembers of its clients, forgotten."""

from __future__ import annotations

from pathlib import Path

from labkit.proxy.nftables import NftablesPlan
from labkit.proxy.sync import Proxier

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
