"""iptables-restore in a namespace, all or nothing: what the guest refuses is named, and undone."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from labkit.errors import ProgramError
from labkit.proxy.restore import render_saved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.fabric.namespace import Completed, Namespace
    from labkit.proxy.rules import CountedTable

_WAIT_FOR_LOCK = ("-w", "5")
_LINE = re.compile(r"line:? (\d+)")
_NETFILTER = ("x_tables:", "xt_", "ipt_", "ip_tables:", "Cannot find")


@dataclass(frozen=True, slots=True)
class Backend:
    """Which packet filter of the guest iptables writes to: "legacy" (ip_tables) or "nft" (nf_tables)."""

    name: Literal["legacy", "nft"]

    @property
    def save(self) -> str:
        """The command that prints the tables."""
        return f"iptables-{self.name}-save"

    @property
    def restore(self) -> str:
        """The command that writes them."""
        return f"iptables-{self.name}-restore"


def restore(namespace: Namespace, backend: Backend, text: str, held: Mapping[str, CountedTable]) -> None:
    """Write `text` into the tables and keep what it does not name; `held` is what is there.

    Raises ProgramError with the failing line and the guest's own words; the tables are then as they were.
    """
    with _GuestLog() as log:
        done = write_restore(namespace, backend, text)
        if done.status == 0:
            return
        said = log.lines_about_rules()
    before = _undoing(text, held)
    if done.killed:  # no line is at fault
        _bring_back(namespace, backend, before)
        raise ProgramError(
            f"{backend.restore} did not finish ({done.complaint}): the rules from before are in force",
            where=namespace.name,
        )
    lines = text.splitlines()
    number = _failing_line(namespace, backend, lines, done, before)
    _bring_back(namespace, backend, before)
    words = [line for line in done.stderr.splitlines() if line and not line.startswith("Try `")]
    raise ProgramError(
        "the guest refused a rule, the rules from before are in force: "
        + ("; ".join((*words, *said)) or done.complaint),
        where=f"{namespace.name}, line {number}: {lines[number - 1]}",
        todo="correct that rule, or what it names",
    )


def write_restore(namespace: Namespace, backend: Backend, text: str) -> Completed:
    """Write `text` once, for better or worse: of what it does not name nothing changes."""
    return namespace.command([backend.restore, "--noflush", "--counters", *_WAIT_FOR_LOCK], stdin=text)


def _bring_back(namespace: Namespace, backend: Backend, before: str) -> None:
    namespace.command([backend.restore, "--counters", *_WAIT_FOR_LOCK], stdin=before)


def _undoing(text: str, held: Mapping[str, CountedTable]) -> str:
    # A restore commits table by table: those before the failing one have changed already.
    names = [line[1:] for line in text.splitlines() if line.startswith("*")]
    return "".join(render_saved(held[name]) if name in held else f"*{name}\nCOMMIT\n" for name in names)


def _failing_line(
    namespace: Namespace, backend: Backend, lines: Sequence[str], done: Completed, before: str
) -> int:
    """Return the number of the line that was refused, counted from 1.

    What iptables itself cannot read it names; of what the guest refuses it only knows in which table. Then
    the shortest beginning of that table that is refused ends in the culprit.
    """
    named = _LINE.search(done.stderr)
    number = int(named[1]) if named else len(lines)
    if lines[number - 1] != "COMMIT":
        return number
    start = max(place for place in range(number) if lines[place].startswith("*"))
    accepted, refused = start + 1, number - 1
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        _bring_back(namespace, backend, before)
        if write_restore(namespace, backend, "\n".join((*lines[start:middle], "COMMIT", ""))).status:
            refused = middle
        else:
            accepted = middle
    return refused


class _GuestLog:
    """The guest's log from now on: iptables only says that a commit failed, the reason stands there."""

    def __init__(self) -> None:
        self._descriptor = -1

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):  # without the right to read it, its words are missing
            self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def lines_about_rules(self) -> list[str]:
        """Return what netfilter has written since; each record is `level,number,time,flags;text`."""
        lines = []
        while record := self._record():
            text = record.decode(errors="replace").partition(";")[2].splitlines()[0]
            if text.startswith(_NETFILTER):
                lines.append(text)
        return lines

    def _record(self) -> bytes:
        try:
            return os.read(self._descriptor, 8192)
        except OSError:  # nothing more, or no log at all
            return b""
