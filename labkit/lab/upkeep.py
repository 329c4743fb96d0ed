"""Upkeep: what kube-proxy does by the clock, without being told of a change."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from labkit.proxy.ipvs_draining import CHECK_INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import Callable


class Upkeep:
    """Calls `tend` every minute from a thread of its own, until it is closed. A context manager.

    The minute is that of kube-proxy's look at real servers that drain (graceful termination in IPVS mode).
    """

    def __init__(self, tend: Callable[[], None]) -> None:
        """Start the clock."""
        self._tend = tend
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="upkeep", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._ended.wait(CHECK_INTERVAL_S):
            self._tend()
