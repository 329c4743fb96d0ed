"""A dump put into a network namespace, by the node's own tools: kube-proxy's part of it, nothing else.

Sets that were not captured get the members that the plan has, and kube-ipvs0 the addresses of the virtual
servers that are not the node's own: neither rules nor servers work without them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.proxy.ipvs import IpvsPlan
from labkit.proxy.program_device import apply_addresses
from labkit.proxy.program_restore import restore
from labkit.proxy.program_sets import apply_sets
from labkit.proxy.program_tables import read_tables
from labkit.proxy.restore import render_saved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.capture.captured import Captured
    from labkit.capture.dump import Dump
    from labkit.fabric.namespace import Namespace
    from labkit.proxy.program_restore import Backend

_ADDRESS = re.compile(r"-A \S+ ([\d.]+):\d+ ")
_LOOPBACK = "127."


def load_dump(captured: Captured, namespace: Namespace, backend: Backend) -> None:
    """Make the namespace's tables, sets and virtual servers what the node held of kube-proxy's.

    Raises ProgramError with the line that this Linux refuses and its own words.
    """
    dump = captured.dump
    if captured.mode == "ipvs":
        _load_sets(captured, namespace)
        apply_addresses(namespace, _service_addresses(captured))
    if dump.tables:
        text = "".join(render_saved(table) for table in dump.tables.values())
        restore(namespace, backend, text, read_tables(namespace, backend))
    if dump.servers:
        _feed(namespace, ["ipvsadm", "-R"], "".join(f"{line}\n" for line in dump.servers))
    if dump.nft:
        _feed(namespace, ["nft", "-f", "-"], dump.nft)


def _load_sets(captured: Captured, namespace: Namespace) -> None:
    if captured.dump.sets is not None:
        lines = "".join(f"{line}\n" for line in captured.dump.sets)
        _feed(namespace, ["ipset", "restore", "-exist"], lines)
    plan = captured.plan()
    if captured.dump.sets is None and isinstance(plan, IpvsPlan):
        apply_sets(namespace, plan.ipsets, {})


def _service_addresses(captured: Captured) -> tuple[str, ...]:
    own = set(captured.addresses)
    return tuple(
        dict.fromkeys(
            address
            for address in server_addresses(captured.dump)
            if address not in own and not address.startswith(_LOOPBACK)
        )
    )


def server_addresses(dump: Dump) -> Iterator[str]:
    """Yield the addresses of a dump's virtual servers."""
    for line in dump.servers or ():
        if found := _ADDRESS.match(line):
            yield found[1]


def _feed(namespace: Namespace, argv: list[str], text: str) -> None:
    done = namespace.command(argv, stdin=text)
    if done.status:
        raise ProgramError(
            f"this Linux refuses what the node printed: {done.complaint}",
            where=f"{' '.join(argv)}, in {namespace.name}",
            todo="labkit doctor tells what this Linux has",
        )
