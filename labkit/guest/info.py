"""What a running guest says about itself, and where it says so."""

from __future__ import annotations

import os

from labkit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.guest.clock import Clock

MARKER = "/run/labkit/guest"
JOB_SOCKET = "/run/labkit/jobs"


class GuestInfo(Record):
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

    def to_bytes(self) -> bytes:
        """Return a line `NAME=VALUE` for each value."""
        return "".join(f"{name}={value}\n" for name, value in self._asdict().items()).encode()

    @classmethod
    def from_bytes(cls, lines: bytes) -> GuestInfo:
        """Return the values that `to_bytes` wrote. Raises ValueError, KeyError or TypeError for others."""
        values: dict[str, Any] = dict(line.split("=", 1) for line in lines.decode().splitlines())
        numbers = {name: int(values[name]) for name in ("cpus", "memory_mb", "host_cpus")}
        return cls(**{**values, **numbers})


def read_running_system(kind: str, lab: str, clock: Clock, host_cpus: int) -> GuestInfo:
    """Return what the Linux this process runs on says about itself."""
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return GuestInfo(kind, lab, os.uname().release, os.cpu_count() or 1, memory_mb, clock, host_cpus)


def current(marker: str | os.PathLike[str] = MARKER) -> GuestInfo | None:
    """Return the lab's Linux this process runs in, or None when it runs outside.

    The marker stands on a tmpfs that only a lab's Linux mounts on /run.
    """
    try:
        with open(marker, "rb") as file:
            return GuestInfo.from_bytes(file.read())
    except (OSError, ValueError, KeyError, TypeError):
        return None
