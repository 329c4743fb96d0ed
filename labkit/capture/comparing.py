"""What a node held of kube-proxy's beside what kube-proxy v1.30.3 would program: the differences in words.

Both are put into namespaces and read back by the same tools, so that it does not matter which version of them
printed the dump.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.capture.loading import load_dump
from labkit.fabric.namespace import Namespace
from labkit.proxy.ipvs import DEVICE
from labkit.proxy.program_tables import find_backend
from labkit.proxy.state import Part, diff_states, plan_state, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.capture.captured import Captured
    from labkit.proxy.state import State

SHARED_CHAINS = frozenset(
    (
        *("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"),
        "KUBE-IPVS-OUT-FILTER",
    )
)
"""Chains with rules of several Services: kube-proxy walks its Services in random order."""

KUBELETS_CHAIN = "KUBE-FIREWALL"
_REMEMBERED = re.compile(r"\d+\.\d+\.\d+\.\d+\b")


def compare(captured: Captured) -> tuple[str, ...]:
    """Return in words what the node held otherwise than kube-proxy v1.30.3 would program; () if nothing.

    To be called in the lab's Linux. Raises ProgramError for what it refuses of the dump.
    """
    with Namespace.create(f"captured-{os.getpid()}") as scratch:
        backend = find_backend(scratch)
        load_dump(captured, scratch, backend)
        held = read_state(scratch, backend)
    wanted = plan_state(captured.plan(), backend)
    return diff_states(_comparable(wanted, wanted, captured), _comparable(held, wanted, captured))


def _comparable(state: State, wanted: State, captured: Captured) -> Mapping[str, Part]:
    return {
        name: _part(name, part)
        for name, part in _kept(state, captured)
        if KUBELETS_CHAIN not in name or name in wanted
    }


def _kept(state: State, captured: Captured) -> Iterator[tuple[str, Part]]:
    """Yield what the dump can tell: addresses of kube-ipvs0 it never does, sets only where they are in it."""
    for name, part in state.items():
        if name == f"device {DEVICE}" or (name.startswith("ipset ") and captured.dump.sets is None):
            continue
        if name.startswith("virtual server ") and captured.dump.servers is None:
            continue
        if name.startswith(("chain ", "jumps ")) and captured.dump.tables is None:
            continue
        yield name, part


def _part(name: str, part: Part) -> Part:
    if name.startswith("jumps from "):
        lines = tuple(line for line in part.lines if not line.endswith(KUBELETS_CHAIN))
        return Part(lines, ordered=False)  # others insert theirs whenever they start
    if name.startswith("nftables set affinity-"):
        return replace(part, lines=tuple(line for line in part.lines if not _REMEMBERED.match(line)))
    if name.rpartition(" ")[2] in SHARED_CHAINS:
        return replace(part, ordered=False)
    return part
