"""A small event loop: calls a function when a file is ready or a time has come.

poll(2) and not epoll, because standard input and output may be regular files.
"""

from __future__ import annotations

import itertools
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[[], None]

_READ = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL
_WRITE = select.POLLOUT | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Loop:
    """Who waits for which file descriptor, and who for which time."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()

    def on_readable(self, fd: int, callback: Callback | None) -> None:
        """Call back whenever `fd` can be read (or has ended); None stops that."""
        self._set(self._readers, fd, callback)

    def on_writable(self, fd: int, callback: Callback | None) -> None:
        """Call back whenever `fd` can be written (or has ended); None stops that."""
        self._set(self._writers, fd, callback)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`: call it before closing the descriptor."""
        self._set(self._readers, fd, None)
        self._set(self._writers, fd, None)

    def after(self, delay_s: float, callback: Callback) -> None:
        """Call back once, after `delay_s` seconds."""
        self._timers.append((time.monotonic() + delay_s, next(self._order), callback))
        self._timers.sort()  # they are few, and `heapq` is one more file to import

    def turn(self, timeout_s: float | None = None) -> None:
        """Wait for the next event, at most `timeout_s` seconds, and make the calls that are due."""
        if self._timers:
            until_timer_s = max(0.0, self._timers[0][0] - time.monotonic())
            timeout_s = until_timer_s if timeout_s is None else min(timeout_s, until_timer_s)
        timeout_ms = None if timeout_s is None else timeout_s * 1000 + 0.999
        for fd, events in self._poll.poll(timeout_ms):
            if events & _READ and fd in self._readers:
                self._readers[fd]()
            if events & _WRITE and fd in self._writers:
                self._writers[fd]()
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, callback = self._timers.pop(0)
            callback()

    def _set(self, table: dict[int, Callback], fd: int, callback: Callback | None) -> None:
        watched = fd in self._readers or fd in self._writers
        if callback is None:
            table.pop(fd, None)
        else:
            table[fd] = callback
        wanted = (select.POLLIN if fd in self._readers else 0) | (
            select.POLLOUT if fd in self._writers else 0
        )
        if wanted:
            self._poll.register(fd, wanted)
        elif watched:
            self._poll.unregister(fd)
