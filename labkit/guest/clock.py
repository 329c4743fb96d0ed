"""The guest's clock: real, or virtual, where time passes only by waiting.

In virtual time (User-Mode Linux's `time-travel=inf-cpu`) computing takes no time, and as soon as everything
in the guest sleeps its clock jumps to the next timer. So delays are exact, whatever else the machine does,
and hours of waiting take no longer than what is done in them. Each reading of the clock moves it on by a
quarter of a microsecond, so that loops that poll it come to an end.

What the host does takes no time either: the lab's own Linux holds its clock while something in it waits for
the host (`guest-kernel/src/labkit_guest/labkit.patch`). It sees by itself who reads what the agent writes
for the host; what it cannot see, the agent says through a `Standstill`.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Literal

from labkit.guest.syscalls import set_timer_slack
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

Clock = Literal["real", "virtual"]

_WORK = b"work" * 250_000
_NO_TIME_NS = 100_000  # hashing a megabyte takes a real processor several times as long
_SETTLING_S = 0.1
_HOLD = "/sys/module/time_travel/parameters/hold"


class Timing(Record):
    """Which clock a guest is to have, and how long it may run by its own clock and by the wall's.

    A bound of None does not hold. In virtual time both are needed: a guest that only waits for a timer again
    and again uses up years in minutes, and one that only computes never sees time pass.
    """

    clock: Clock = "real"
    guest_limit_s: float | None = None
    wall_limit_s: float | None = None


GUEST_LIMIT_S = 7 * 86_400.0
WALL_LIMIT_S = 600.0
REAL_TIME = Timing()
VIRTUAL_TIME = Timing("virtual", GUEST_LIMIT_S, WALL_LIMIT_S)


def read_clock() -> Clock:
    """Return which clock this Linux has: tried, by work that takes time on any real one. A few ms.

    One that cannot be held while the host is waited for is no virtual clock: it would run away.
    """
    if not os.access(_HOLD, os.F_OK):
        return "real"
    import hashlib

    begun_ns = time.monotonic_ns()
    hashlib.sha256(_WORK).digest()
    return "virtual" if time.monotonic_ns() - begun_ns < _NO_TIME_NS else "real"


def settle_clock() -> None:
    """Make the timers of a Linux that has just booted in virtual time exact.

    It goes over to high-resolution timers at a tick. Where computing takes no time it has had none yet, and
    until then every timer would wait for a full tick of 10 ms. The usual slack of 50 us, which this process
    passes on to all that it starts, is taken away.
    """
    set_timer_slack(1)
    time.sleep(_SETTLING_S)


class Standstill:
    """The hold on virtual time: within it, time stands still as long as everything in the guest sleeps."""

    def __init__(self) -> None:
        self._hold = os.open(_HOLD, os.O_WRONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def keep(self) -> Iterator[None]:
        """Let no time pass by waiting until the block ends."""
        os.pwrite(self._hold, b"1", 0)
        try:
            yield
        finally:
            os.pwrite(self._hold, b"0", 0)
