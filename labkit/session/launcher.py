"""The session's host side: what Jupyter starts when a learner chooses the kernel "Lab".

It boots a guest, starts ipykernel in it, relays the kernel's five ports, and ends when the kernel, the guest
or Jupyter ends. Nothing of the connection is written to disk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.guest.capabilities import choose_linux, command_path
from labkit.guest.line import Frame, FrameType, decode_count, decode_failure
from labkit.guest.process import SpawnRequest
from labkit.guest.run import Guest
from labkit.guest.streams import Stream
from labkit.session.inside import CONNECTION_VARIABLE
from labkit.session.relay import open_listeners, relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.session.connection import Connection

PARENT_VARIABLE = "JPY_PARENT_PID"
PARENT_CHECK_S = 1.0


def run_session(connection: Connection, memory_mb: int) -> int:
    """Run a Jupyter kernel in a fresh guest until it ends; return its exit status.

    Raises CapabilityError or GuestError when no guest comes up, and GuestError when it dies.
    """
    listeners = open_listeners(connection)
    try:
        with Guest.start(choose_linux(None), memory_mb=memory_mb) as guest:
            # While it boots:
            from labkit.guest.attach import AttachServer
            from labkit.guest.jobserver import JobServer

            guest.come_up()
            session = Session(guest, partial(_kernel_process, guest.name, connection))
            AttachServer(guest)
            JobServer(guest)
            relay(guest, listeners)
            return session.run()
    finally:
        for listener in listeners:
            listener.close()


class Session:
    """One ipykernel in one guest."""

    def __init__(self, guest: Guest, plan_process: Callable[[int, int], SpawnRequest], sink: int = 2) -> None:
        """Start ipykernel in `guest`, as `plan_process` says for the channels of its output and its errors.

        What it writes there goes to the descriptor `sink`.
        """
        self._guest = guest
        self._status: int | None = None
        self._failure = ""
        self._channel, output, errors = guest.new_channels(3)
        for channel in (output, errors):
            Stream(guest.link, channel, sink=sink, owned=False)
        guest.spawn(self._channel, plan_process(output, errors), self._handle)
        self._watch_parent()
        self._watch_signals()

    def run(self) -> int:
        """Drive the guest until the kernel ends; return its exit status (128 + N after signal N)."""
        while self._status is None:
            self._guest.turn()
        if self._failure:
            raise GuestError("ipykernel did not start in the guest", where=self._failure, todo="make setup")
        return self._status

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.FAILED:
            (_, self._failure), self._status = decode_failure(frame.payload), 1
        elif frame.type == FrameType.EXITED:
            code = os.waitstatus_to_exitcode(decode_count(frame.payload))
            self._status = code if code >= 0 else 128 - code

    def _watch_parent(self) -> None:
        parent = int(os.environ.get(PARENT_VARIABLE, "0"))
        if parent <= 1:
            return
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:
            self._check_parent(parent)
        else:
            self._guest.loop.on_readable(descriptor, self._end)

    def _check_parent(self, parent: int) -> None:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            self._end()
        except PermissionError:
            pass
        self._guest.loop.after(PARENT_CHECK_S, lambda: self._check_parent(parent))

    def _watch_signals(self) -> None:
        wake, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._guest.loop.on_readable(wake, lambda: self._take_signals(os.read(wake, 64)))

    def _take_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGINT:
                self._guest.send_signal(self._channel, number)
            else:
                self._end(128 + number)

    def _end(self, status: int = 0) -> None:
        self._status = status


def _kernel_process(lab: str, connection: Connection, output: int, errors: int) -> SpawnRequest:
    env = {
        **os.environ,
        "PATH": command_path(os.environ.get("PATH")),
        "LABKIT_LAB": lab,
        CONNECTION_VARIABLE: connection.text,
    }
    with contextlib.suppress(KeyError):
        del env[PARENT_VARIABLE]  # that process is not in the guest: ipykernel would end itself at once
    umask = os.umask(0o077)
    os.umask(umask)
    argv = (sys.executable, "-m", "labkit.session.inside")
    return SpawnRequest(argv=argv, env=env, cwd=str(Path.cwd()), umask=umask, pipes={1: output, 2: errors})
