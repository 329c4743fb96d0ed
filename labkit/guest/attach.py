"""Join a running lab from outside: the launcher listens, another process runs commands in its guest.

The meeting place is an abstract unix socket named after the user and the lab, so that nothing is left behind
when a launcher is killed. Abstract sockets have no permissions: both sides ask the system who the other is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Self

from labkit.errors import GuestError, RequestError
from labkit.guest.connection import GuestConnection
from labkit.guest.line import Frame, FrameType, Line, encode_count
from labkit.guest.streams import Link

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_CHANNELS_PER_CLIENT = 8
_TIMEOUT_S = 5.0
_CREDENTIALS = struct.Struct("3i")


class AttachServer:
    """The launcher's side: relays each client's frames between its socket and the guest's line."""

    def __init__(self, guest: GuestConnection) -> None:
        self._guest = guest
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(_address(guest.name))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            raise GuestError(f"lab {guest.name} cannot be attached to: {error.strerror}") from None
        guest.loop.on_readable(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening."""
        self._guest.loop.forget(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if _user_of(connection) not in {0, os.getuid()}:
            connection.close()
            return
        _Client(self._guest, connection)


class _Client:
    """One attached process: a block of the guest's channels is its own."""

    def __init__(self, guest: GuestConnection, connection: socket.socket) -> None:
        self._guest = guest
        self._connection = connection
        self._channels = guest.new_channels(_CHANNELS_PER_CLIENT)
        self._link = Link(Line(connection.fileno()), guest.loop)
        self._link.divert(self._channels, self._to_guest)
        self._link.on_end = self._leave
        guest.link.divert(self._channels, self._to_client)
        welcome = {"first": self._channels.start, "count": len(self._channels)}
        self._link.send(FrameType.HELLO, 0, json.dumps(welcome).encode())

    def _to_guest(self, frame: Frame) -> None:
        self._guest.link.send(frame.type, frame.channel, frame.payload)

    def _to_client(self, frame: Frame) -> None:
        self._link.send(frame.type, frame.channel, frame.payload)

    def _leave(self) -> None:
        """The client is gone: hang up on what it started, as a closed terminal window does."""
        for channel in self._channels:
            self._guest.link.send(FrameType.SIGNAL, channel, encode_count(signal.SIGHUP))
            self._guest.link.send(FrameType.CLOSED, channel)
            self._guest.link.send(FrameType.EOF, channel)
        self._guest.link.divert(self._channels, None)
        self._connection.close()


class AttachedLab(GuestConnection):
    """The other side: a lab that another process launched. A context manager."""

    def __init__(self, name: str, connection: socket.socket) -> None:
        self._name = name
        self._connection = connection
        self._ended = False
        super().__init__(Line(connection.fileno()), range(0))
        self.link.on_end = self._note_end
        while not self._channels:
            self.turn(_TIMEOUT_S)

    @classmethod
    def open(cls, name: str) -> AttachedLab:
        """Join the lab called `name`; raise RequestError when there is none of this user."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(_address(name))
        except OSError:
            connection.close()
            raise no_such_lab(name, list_labs()) from None
        if _user_of(connection) not in {0, os.getuid()}:
            connection.close()
            raise RequestError(f"lab {name} belongs to another user", where="labkit attach")
        return cls(name, connection)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self._name

    def turn(self, timeout_s: float | None = None) -> None:
        """Wait for the next event and handle it; raise GuestError when the lab is gone."""
        self.loop.turn(timeout_s)
        if self._ended:
            raise GuestError(f"lab {self._name} has ended", todo="start it again where it was started")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close()
        self._connection.close()

    def _note_end(self) -> None:
        self._ended = True

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            welcome = json.loads(frame.payload)
            self._channels = range(welcome["first"], welcome["first"] + welcome["count"])
        else:
            super()._handle(frame)


def list_labs() -> tuple[str, ...]:
    """Return the names of this user's running labs."""
    pattern = re.compile(rf"@labkit/{os.getuid()}/([0-9a-z]+)$")
    names = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text().splitlines():
            match = pattern.search(line)
            if match:
                names.add(match[1])
    return tuple(sorted(names))


def choose_lab(name: str | None, running: Sequence[str]) -> str:
    """Return the lab to attach to: the named one, or the only one; raise RequestError otherwise."""
    if name is not None and name in running:
        return name
    if name is not None:
        raise no_such_lab(name, running)
    if len(running) == 1:
        return running[0]
    if not running:
        raise RequestError(
            "no lab is running",
            where="labkit attach",
            todo="open a notebook with the Lab kernel or run `labkit shell`, then attach from elsewhere",
        )
    raise RequestError(
        f"{len(running)} labs are running: {', '.join(running)}",
        where="labkit attach",
        todo=f"say which one: labkit attach {running[0]}",
    )


def no_such_lab(name: str, running: Sequence[str]) -> RequestError:
    """Return the error for a lab that does not run."""
    return RequestError(
        f"no lab called {name} is running",
        where="labkit attach",
        todo=f"running now: {', '.join(running) or 'none'}",
    )


def _address(name: str) -> str:
    return f"\0labkit/{os.getuid()}/{name}"


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return int(uid)
