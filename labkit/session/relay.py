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
    for listener in listeners:
        guest.loop.on_readable(listener.fileno(), partial(_accept, guest, listener))


def _accept(guest: Guest, listener: socket.socket) -> None:
    try:
        accepted, _ = listener.accept()
    except OSError:
        return  # the client has left already
    accepted.settimeout(0)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]
    descriptor = accepted.detach()
    channel = 0

    def join(frame: Frame) -> None:
        if frame.type is FrameType.OPENED:
            Stream(guest.link, channel, source=descriptor, sink=descriptor, owned=True)
        else:
            os.close(descriptor)

    channel = guest.connect(port, join, attempts=ATTEMPTS)
