"""Resident: a thread that stays at one place and does there what it is given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Self, TypeVar

T = TypeVar("T")
Task = Callable[[], None]


class Resident:
    """A thread that runs functions one after the other, with their values and exceptions handed back."""

    def __init__(self, name: str) -> None:
        """Start the thread; `name` is what a list of threads shows."""
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._left: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._tasks.put(None)  # an interrupt finds the thread started: nobody else would end it
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _live(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
        self._left.set_result(None)

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
        """End the thread after what is queued; return whether it ended within `timeout_s`.

        Without a limit an interrupt does not end the waiting: it is raised when the thread has ended.
        """
        self._tasks.put(None)
        if self.is_current:
            return False
        try:
            if timeout_s is None:
                _wait_to_the_end(self._left)
            else:
                wait([self._left], timeout_s)
        finally:
            # Not join() alone: interrupted, it takes a running thread for an ended one (Python issue 89437).
            if self._left.done():
                self._thread.join()
        return self._left.done()


def _wait_to_the_end(future: Future[None]) -> None:
    interrupt: KeyboardInterrupt | None = None
    while not future.done():
        try:
            wait([future])
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _settle(future: Future[T], function: Callable[[], T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001  whatever it is belongs to the caller, who waits for it
        future.set_exception(error)
