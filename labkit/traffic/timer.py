"""A timer to wait for in epoll, exact to the nanosecond (timerfd).

epoll's own time-outs are whole milliseconds and grow by the thread's timer slack; a timerfd has neither
fault, in real time and in the guest's virtual time. Python has one since 3.13, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
import select
import time

TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
TFD_TIMER_ABSTIME = 1
ALARM_EVENTS = select.EPOLLIN | select.EPOLLET  # told once each time it goes off: nothing to read away

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """One alarm on the clock of `time.monotonic_ns()`; register it with epoll for `ALARM_EVENTS`.

    It may go off for a time that no longer matters: setting it later would cost a system call for each
    request.
    """

    def __init__(self) -> None:
        self._descriptor: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd_create")
        self._due_ns = 0

    def fileno(self) -> int:
        """The descriptor, for epoll."""
        return self._descriptor

    def wake_by(self, due_ns: int) -> None:
        """Go off at `due_ns` at the latest. Costs nothing where an earlier time is set already."""
        if 0 < self._due_ns <= due_ns:
            return
        setting = _Itimerspec(_Timespec(0, 0), _Timespec(*divmod(due_ns, 1_000_000_000)))
        if _libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, ctypes.byref(setting), None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd_settime")
        self._due_ns = due_ns

    def acknowledge(self) -> None:
        """Take note that it went off, so that it can be set again."""
        self._due_ns = 0

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)
