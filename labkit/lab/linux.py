"""What a lab asks of the Linux that it opens in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError
from labkit.guest.info import current
from labkit.proxy.plans import Mode, known_mode
from labkit.proxy.program import require_mode

if TYPE_CHECKING:
    from labkit.guest.clock import Clock


def require_guest() -> None:
    """Raise CapabilityError unless this process runs in a lab's Linux."""
    if current() is None:
        raise CapabilityError(
            "this Python does not run in the lab's Linux",
            where=f"process {os.getpid()}",
            todo='in a notebook choose the kernel "Lab" (menu Kernel, Change Kernel); '
            "elsewhere: labkit exec -- python ...",
        )


def mode_of_this_linux(name: str) -> Mode:
    """Return the mode called `name`. RequestError, or CapabilityError if this Linux lacks it."""
    mode = known_mode(name)
    require_mode(mode)
    return mode


def clock_of_this_linux() -> Clock:
    """Return whether time here, and so every latency measured, is real or virtual."""
    guest = current()
    return guest.clock if guest else "real"
