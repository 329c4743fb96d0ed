"""What a running guest says about itself, and where it says so."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.guest.clock import Clock

MARKER = Path("/run/labkit/guest.json")
JOB_SOCKET = Path("/run/labkit/jobs")


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """The lab's Linux seen from inside: `kind` is `uml` or `host`, `lab` the name for `labkit attach`.

    `clock` says whether its time is real or virtual (`clock.py`), `host_cpus` how many guests work at once.
    """

    kind: str
    lab: str
    release: str
    cpus: int
    memory_mb: int
    clock: Clock = "real"
    host_cpus: int = 1

    def to_json(self) -> bytes:
        """Return the values as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> GuestInfo:
        """Return the values that `to_json` wrote."""
        return cls(**json.loads(text))


def read_running_system(kind: str, lab: str, clock: Clock, host_cpus: int) -> GuestInfo:
    """Return what the Linux this process runs on says about itself."""
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return GuestInfo(kind, lab, platform.uname().release, os.cpu_count() or 1, memory_mb, clock, host_cpus)


def current(marker: Path = MARKER) -> GuestInfo | None:
    """Return the lab's Linux this process runs in, or None when it runs outside.

    The marker stands on a tmpfs that only a lab's Linux mounts on /run.
    """
    try:
        return GuestInfo.from_json(marker.read_bytes())
    except (OSError, ValueError, TypeError):
        return None
