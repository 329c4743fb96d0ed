"""The guest's clock: real, or virtual, where time passes only by waiting.

In virtual time (User-Mode Linux's `time-travel=inf-cpu`) computing takes no time, and as soon as everything
in the guest sleeps its clock jumps to the next timer. So delays are exact, whatever else the machine does,
and hours of waiting take no longer than what is done in them. Each reading of the clock moves it on by a
quarter of a microsecond, so that loops that poll it come to an end.
"""

from __future__ import annotations

import time
from typing import Literal

from labkit.guest.syscalls import set_timer_slack
from labkit.record import Record

Clock = Literal["real", "virtual"]

_WORK = b"work" * 250_000
_NO_TIME_NS = 100_000  # hashing a megabyte takes a real processor several times as long
_SETTLING_S = 0.1


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
    """Return which clock this Linux has: tried, by work that takes time on any real one. A few ms."""
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
