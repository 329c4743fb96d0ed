"""Modules, loaded by PID 1 itself: all that the lab uses in 0.2 s, where each modprobe takes 65 ms."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.guest import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

IPVS_SCHEDULERS = (
    "rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos",
)  # fmt: skip
LAB_MODULES = (
    *("dummy", "veth", "bridge", "br_netfilter", "sch_netem", "sch_htb"),
    *("iptable_nat", "iptable_filter", "iptable_mangle", "iptable_raw", "nf_conntrack_netlink"),
    *("xt_statistic", "xt_comment", "xt_set", "xt_MASQUERADE", "xt_addrtype", "xt_mark", "xt_conntrack"),
    *("xt_nat", "xt_recent", "xt_ipvs", "xt_physdev", "nf_log_syslog", "xt_TRACE", "xt_tcpudp", "ipt_REJECT"),
    *("ip_set_hash_ip", "ip_set_hash_net", "ip_set_hash_ipport", "ip_set_hash_ipportip"),
    *("ip_set_hash_ipportnet", "ip_set_bitmap_port"),
    *("ip_vs", *(f"ip_vs_{scheduler}" for scheduler in IPVS_SCHEDULERS)),
)


def load_modules(tree: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Load modules and what they need from `tree` (the release's directory); return those that were loaded.

    A name that the tree does not have is built in, or this Linux cannot do it: whoever uses it finds out.
    """
    dependencies = read_dependencies(tree)
    loaded = []
    for path in _in_order(dependencies, names):
        # A module that is there already says EEXIST, one this system refuses another error.
        with contextlib.suppress(OSError):
            fd = os.open(tree / path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.load_module(fd)
            finally:
                os.close(fd)
            loaded.append(module_name(path))
    return tuple(loaded)


def read_dependencies(tree: Path) -> Mapping[str, tuple[str, ...]]:
    """Return each module's path with the paths to load before it, in loading order (modules.dep(5))."""
    dependencies = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (tree / "modules.dep").read_text().splitlines():
            path, _, needed = line.partition(":")
            dependencies[path] = tuple(reversed(needed.split()))
    return dependencies


def module_name(path: str) -> str:
    """Return the name that a module's path stands for: `kernel/net/sched/sch-x.ko.xz` is `sch_x`."""
    return Path(path).name.split(".ko")[0].replace("-", "_")


def _in_order(dependencies: Mapping[str, tuple[str, ...]], names: Iterable[str]) -> Iterator[str]:
    paths = {module_name(path): path for path in dependencies}
    seen = set()
    for name in names:
        if name in paths:
            for path in (*dependencies[paths[name]], paths[name]):
                if path not in seen:
                    seen.add(path)
                    yield path
