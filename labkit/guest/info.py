"""What a running guest says about itself, and where it says so."""

from __future__ import annotations

import json
import os

from labkit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.guest.clock import Clock

MARKER = "/run/labkit/guest.json"
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

    def to_json(self) -> bytes:
        """Return the values as JSON."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> GuestInfo:
        """Return the values that `to_json` wrote."""
        return cls(**json.loads(text))


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
            return GuestInfo.from_json(file.read())
    except (OSError, ValueError, TypeError):
        return None
