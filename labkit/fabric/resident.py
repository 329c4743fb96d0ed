"""Resident: a thread that stays at one place and does there what it is given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Task = Callable[[], None]


class Resident:
    """A thread that runs functions one after the other, with their values and exceptions handed back."""

    def __init__(self, name: str, arrive: Callable[[], None]) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._live, args=(arrive,), name=name, daemon=True)
        self._arrived: Future[None] = Future()
        self._thread.start()
        self._arrived.result()

    def _live(self, arrive: Callable[[], None]) -> None:
        _settle(self._arrived, arrive)
        if self._arrived.exception() is not None:
            return
        while (task := self._tasks.get()) is not None:
            task()

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        return threading.current_thread() is self._thread

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Queue `function`; the future brings its value or exception."""
        future: Future[T] = Future()
        self._tasks.put(lambda: _settle(future, function))
        return future

    def leave(self, timeout_s: float | None = None) -> bool:
        """End the thread after what is queued; return whether it ended within `timeout_s` (None: wait)."""
        self._tasks.put(None)
        if not self.is_current:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _settle(future: Future[T], function: Callable[[], T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001  whatever it is belongs to the caller, who waits for it
        future.set_exception(error)
