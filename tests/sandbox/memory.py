"""A bound on the memory of a process and its children, as a container's: the page cache counts, too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MB = 2**20


@contextmanager
def bounded_memory(limit_mb: int) -> Iterator[Path]:
    """Make a control group with that much memory; yield the file that takes the processes in it.

    Raises OSError where this machine lets nobody make one.
    """
    kind, mounted = _memory_hierarchy()
    group = mounted / f"sandbox-{os.getpid()}"
    if kind == "cgroup2":
        (mounted / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        limit = "memory.max" if kind == "cgroup2" else "memory.limit_in_bytes"
        (group / limit).write_text(str(limit_mb * MB))
        yield group / "cgroup.procs"
    finally:
        _remove(group)


def _memory_hierarchy() -> tuple[str, Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup" and "memory" in options.split(","):
            return kind, Path(place)
        if kind == "cgroup2" and "memory" in (Path(place) / "cgroup.controllers").read_text().split():
            return kind, Path(place)
    raise OSError("no control group for memory is mounted here")


def _remove(group: Path) -> None:
    # Killed processes leave a group a moment after they are waited for.
    for pid in (group / "cgroup.procs").read_text().split():
        os.kill(int(pid), 9)
    deadline = time.monotonic() + 10
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    group.rmdir()
