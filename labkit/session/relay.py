"""The five ports of a Jupyter kernel: the host's side listens, the guest's side is ipykernel."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.guest.line import FrameType
from labkit.guest.streams import Stream

if TYPE_CHECKING:
    from labkit.guest.line import Frame
    from labkit.guest.run import Guest
    from labkit.session.connection import Connection

# One attempt each 20 ms: ipykernel needs a few seconds before it listens, many more on a busy machine.
ATTEMPTS = 50 * 120
BACKLOG = 64


def open_listeners(connection: Connection) -> tuple[socket.socket, ...]:
    """Listen on the connection's ports. Raises GuestError where one is taken."""
    listeners: list[socket.socket] = []
    for port in connection.ports:
        try:
            listener = socket.create_server((connection.address, port), backlog=BACKLOG)
        except OSError as error:
            for opened in listeners:
                opened.close()
            raise GuestError(
                f"the kernel's port {port} cannot be had: {error.strerror}",
                where=f"{connection.address}:{port}",
                todo="start the kernel again: Jupyter then chooses other ports",
            ) from error
        listener.settimeout(0)
        listeners.append(listener)
    return tuple(listeners)


def relay(guest: Guest, listeners: tuple[socket.socket, ...]) -> None:
    """From now on join every connection to a listener with one to the same port of the guest's loopback."""
    relayed = _Relay(guest)
    for listener in listeners:
        guest.loop.on_readable(listener.fileno(), partial(relayed.accept, listener))


class _Relay:
    """Connections that wait for ipykernel: one of them tries until it listens, then all are joined.

    Each attempt takes the guest's only processor from what is awaited.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._listens = False
        self._waiting: list[tuple[int, int]] = []

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return  # the client has left already
        accepted.settimeout(0)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        if self._listens:
            self._join(port, accepted.detach())
        else:
            self._waiting.append((port, accepted.detach()))
            if len(self._waiting) == 1:
                self._join(*self._waiting[0])

    def _join(self, port: int, descriptor: int) -> None:
        channel = 0

        def join(frame: Frame) -> None:
            if frame.type == FrameType.OPENED:
                Stream(self._guest.link, channel, source=descriptor, sink=descriptor, owned=True)
            else:
                os.close(descriptor)
            self._join_waiting()

        channel = self._guest.connect(port, join, attempts=ATTEMPTS)

    def _join_waiting(self) -> None:
        self._listens = True
        waiting, self._waiting = self._waiting[1:], []
        for port, descriptor in waiting:
            self._join(port, descriptor)
