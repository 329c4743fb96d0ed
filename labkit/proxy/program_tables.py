"""iptables in a namespace: which backend, read with counters, made what a plan says; one process each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, ProgramError
from labkit.proxy.merge import merge_text
from labkit.proxy.program_restore import Backend, restore
from labkit.proxy.restore import parse_save

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.rules import CountedTable, Jump, Table


def find_backend(namespace: Namespace) -> Backend:
    """Return the backend that works in this Linux, legacy first. Raises CapabilityError where none does."""
    words = ""
    for backend in (Backend("legacy"), Backend("nft")):
        try:
            done = namespace.command([backend.save, "-t", "nat"])
        except CapabilityError as error:
            words = words or error.message
            continue
        if done.status == 0:
            return backend
        words = words or done.complaint
    raise CapabilityError(f"iptables does not work here: {words}", where=namespace.name, todo="labkit doctor")


def read_tables(namespace: Namespace, backend: Backend) -> dict[str, CountedTable]:
    """Return the namespace's tables with their counters; one that nobody has used yet is not there."""
    done = namespace.command([backend.save, "-c"])
    if done.status:
        raise ProgramError(f"the tables cannot be read: {done.complaint}", where=namespace.name)
    return parse_save(done.stdout)


def apply_tables(
    namespace: Namespace,
    backend: Backend,
    tables: Sequence[Table],
    jumps: Sequence[Jump],
    canary_tables: Iterable[str] = (),
) -> int:
    """Make the tables what is planned, leave alone what is not kube-proxy's, return how many lines that took.

    One process reads and one writes, whatever the number of rules. Raises ProgramError with the failing line
    and the guest's own words; the rules from before are then in force again.
    """
    held = read_tables(namespace, backend)
    text = merge_text(tables, jumps, held, canary_tables)
    if text:
        restore(namespace, backend, text, held)
    return text.count("\n")
