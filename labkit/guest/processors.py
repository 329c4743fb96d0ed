"""How many processors this process may keep busy: a container's share is often less than the machine has."""

from __future__ import annotations

import os

# In a container this folder is its own control group: version 2 has one file for it, version 1 two.
_GROUPS = "/sys/fs/cgroup"
_VERSION_2 = "cpu.max"
_VERSION_1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


def usable_processors(groups: str = _GROUPS) -> int:
    """Return how many processors may be used at a time: at least one, a part of one counts as one.

    `groups` is the folder of this process's own control group.
    """
    allowed = len(os.sched_getaffinity(0))
    quota, period = _share(groups)
    return max(1, min(allowed, -(-quota // period))) if quota > 0 else allowed


def _share(groups: str) -> tuple[int, int]:
    """Return quota and period in microseconds; a quota of 0 or less means that there is no bound."""
    for names in ((_VERSION_2,), _VERSION_1):
        try:
            words = " ".join(_read(f"{groups}/{name}") for name in names).split()
            return (0 if words[0] == "max" else int(words[0])), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
    return 0, 1


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - a launcher's imports are paid for at each start
        return file.read()
