"""How long a piece of work takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wall_s(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes by the wall's clock, in seconds."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
