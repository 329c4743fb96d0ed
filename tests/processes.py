"""Which processes there are below one, and waiting for their end."""

import contextlib
import os
import select
from pathlib import Path

PATIENCE_S = 60


def descendants(pid: int) -> set[int]:
    """Every process below `pid` now."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = set(), [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def wait_for_end(pids: set[int]) -> None:
    """Wait until none of these processes lives; pidfds tell, nothing is polled."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
                assert ready, f"process {pid} is still there"
            finally:
                os.close(descriptor)
