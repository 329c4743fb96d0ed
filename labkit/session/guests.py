"""The guests of one notebook, one after another: what a cell ends is followed by a fresh one.

The cells that ran before are run in it again, without the one that ended it: the next one finds what it would
have found.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from labkit.errors import GuestError
from labkit.session import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.session.exchange import Exchange
    from labkit.session.learner import LearnerKernel


class Guests:
    """Keeps a guest with a kernel at the other end of `exchange`, in which the cells of `ran` have run."""

    def __init__(self, exchange: Exchange, start: Callable[[], LearnerKernel], cell_limit_s: float) -> None:
        """Start guests by `start`; a cell that is run again has `cell_limit_s` for it."""
        self.ran: list[str] = []
        self.given_up = ""  # why there are no more guests
        self.info: Mapping[str, Any] = {}  # what the kernel says of itself
        self._exchange = exchange
        self._start = start
        self._cell_limit_s = cell_limit_s
        self._recoveries = 0
        self._ends = time.monotonic() + bounds.NOTEBOOK_LIMIT_S

    def deadline(self, limit_s: float) -> float:
        """Return when that which has `limit_s` from now has to end, by the monotonic clock."""
        return min(time.monotonic() + limit_s, self._ends)

    def boot(self) -> None:
        """Start a fresh guest in the place of the one that there is, if any."""
        exchange = self._exchange
        exchange.connect(None)
        if time.monotonic() > self._ends:
            self._give_up(f"it took more than {bounds.NOTEBOOK_LIMIT_S:.0f} seconds in all")
            return
        kernel = self._start()
        try:
            kernel.await_ready()
        except GuestError as error:
            kernel.close()
            self._give_up(" / ".join(error.lines()))
            return
        exchange.connect(kernel)
        self.info = self.info or kernel.info

    def recover(self) -> None:
        """Start a fresh guest and run the cells again that ran before, without those that end it again.

        Where the guest does not outlive them, another one is watched after each cell: what a cell leaves
        behind may end it only when later ones, which are innocent, run.
        """
        self._recoveries += 1
        if self._recoveries > bounds.MOST_RECOVERIES:
            self._give_up(f"its cells ended {self._recoveries} guests; no more are started")
            return
        watched_s = 0.0
        while not self._exchange.is_over and not self.given_up:
            self.boot()
            guilty = self._find_guilty(watched_s)
            if guilty is None:
                return
            if watched_s:
                del self.ran[guilty]
            watched_s = bounds.SETTLING_S

    def _find_guilty(self, watched_s: float) -> int | None:
        """Run the cells again, each watched so long; return the place of the one that ends the guest.

        None when it lives on once all have run and it has been watched for a while.
        """
        exchange = self._exchange
        for place, source in enumerate(self.ran):
            if exchange.kernel is None:
                return None
            sent = exchange.kernel.send("execute_request", {"code": source, "allow_stdin": False})
            if isinstance(exchange.await_reply(sent, self.deadline(self._cell_limit_s)), str):
                return place
            if watched_s and exchange.wait(lambda: exchange.is_dead, watched_s):
                return place
        died = bool(self.ran) and exchange.wait(lambda: exchange.is_dead, bounds.SETTLING_S)
        return len(self.ran) - 1 if died else None

    def _give_up(self, why: str) -> None:
        self._exchange.connect(None)
        self.given_up = why
