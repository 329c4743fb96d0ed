"""iptables in a namespace: read with counters, restored in one process, brought back if the guest refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, ProgramError
from labkit.proxy.merge import merge_text
from labkit.proxy.restore import parse_save, render_saved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labkit.fabric.namespace import Completed, Namespace
    from labkit.proxy.rules import CountedTable, Jump, Table

_LINE = re.compile(r"line:? (\d+)")


@dataclass(frozen=True, slots=True)
class Backend:
    """Which packet filter of the guest iptables writes to: "legacy" (ip_tables) or "nft" (nf_tables)."""

    name: str

    @property
    def save(self) -> str:
        """The command that prints the tables."""
        return f"iptables-{self.name}-save"

    @property
    def restore(self) -> str:
        """The command that writes them."""
        return f"iptables-{self.name}-restore"


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
        words = words or done.stderr.strip()
    raise CapabilityError(f"iptables does not work here: {words}", where=namespace.name, todo="labkit doctor")


def read_tables(namespace: Namespace, backend: Backend) -> dict[str, CountedTable]:
    """Return the namespace's tables with their counters; one that nobody has used yet is not there."""
    done = namespace.command([backend.save, "-c"])
    if done.status:
        raise ProgramError(f"the tables cannot be read: {done.stderr.strip()}", where=namespace.name)
    return parse_save(done.stdout)


def apply_tables(
    namespace: Namespace,
    backend: Backend,
    tables: Sequence[Table],
    jumps: Sequence[Jump],
    canary_tables: Iterable[str] = (),
) -> None:
    """Make the namespace's tables what is planned, and leave alone what is not kube-proxy's.

    One process reads and one writes, whatever the number of rules. Raises ProgramError with the failing line
    and the guest's own words; the rules from before are then in force again.
    """
    held = read_tables(namespace, backend)
    text = merge_text(tables, jumps, held, canary_tables)
    if not text:
        return
    done = namespace.command([backend.restore, "--noflush", "--counters", "-w", "5"], stdin=text)
    if done.status:
        _bring_back(namespace, backend, text, held)
        raise _refused(done, text, namespace.name)


def _bring_back(namespace: Namespace, backend: Backend, text: str, held: Mapping[str, CountedTable]) -> None:
    # A restore commits table by table: those before the failing one have changed already.
    names = [line[1:] for line in text.splitlines() if line.startswith("*")]
    before = "".join(render_saved(held[name]) if name in held else f"*{name}\nCOMMIT\n" for name in names)
    namespace.command([backend.restore, "--counters", "-w", "5"], stdin=before)


def _refused(done: Completed, text: str, where: str) -> ProgramError:
    words = [line for line in done.stderr.splitlines() if line and not line.startswith("Try `")]
    number = _LINE.search(done.stderr)
    line = text.splitlines()[int(number[1]) - 1] if number else ""
    return ProgramError(
        "the guest refused a rule, the rules from before are in force: " + "; ".join(words),
        where=f"{where}, line {number[1]}: {line}" if number else where,
        todo="correct that rule, or what it names",
    )
