"""Traffic that goes on, round after round, in a thread of its own, until it is stopped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_S = 0.3  # between two rounds, for the notebook's other work


class SteadyTraffic:
    """Sends rounds of traffic: `send` is one round, `on_round` gets what it returned, `on_end` why it ended.

    `on_end` gets None where it was stopped, the LabError where a round could not be sent.
    """

    def __init__(
        self,
        send: Callable[[], Any],
        on_round: Callable[[Any], None],
        on_end: Callable[[LabError | None], None],
    ) -> None:
        """Hold what is to be done; `start` begins."""
        self._send, self._on_round, self._on_end = send, on_round, on_end
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether rounds are being sent."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; does nothing where it has begun."""
        if self.is_running:
            return
        self._stopped.clear()
        self._thread = threading.Thread(target=self._go_on, name="control room", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is being sent, and wait for it; does nothing where nothing runs."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _go_on(self) -> None:
        why: LabError | None = None
        try:
            while not self._stopped.is_set():
                self._on_round(self._send())
                self._stopped.wait(PAUSE_S)
        except LabError as error:
            why = error
        finally:
            self._on_end(why)
