"""Run a command in a guest on given input and keep what it writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.guest.capabilities import command_path
from labkit.guest.line import Frame, FrameType, decode_count, decode_failure
from labkit.guest.process import SpawnRequest
from labkit.guest.streams import Stream
from labkit.record import Record

if TYPE_CHECKING:
    from labkit.guest.connection import GuestConnection


class Captured(Record):
    """What a command wrote, and its wait status."""

    output: bytes
    errors: bytes
    wait_status: int


def run_and_capture(guest: GuestConnection, argv: tuple[str, ...], given: bytes = b"") -> Captured:
    """Run a command on the input `given` in this directory and environment; raise GuestError if it cannot."""
    process, source, output, errors = guest.new_channels(4)
    collected = {output: _Collector(guest, output), errors: _Collector(guest, errors)}
    last: list[Frame] = []
    env = {**os.environ, "PATH": command_path(os.environ.get("PATH")), "LABKIT_LAB": guest.name}
    request = SpawnRequest(argv, env, os.getcwd(), 0o022, pipes={0: source, 1: output, 2: errors})  # noqa: PTH109 - text
    guest.spawn(process, request, last.append)
    _give(guest, source, given)
    while not last or last[-1].type == FrameType.STARTED:
        guest.turn()
    if last[-1].type == FrameType.FAILED:
        _, message = decode_failure(last[-1].payload)
        raise GuestError(message)
    written = [collected[channel].finish() for channel in (output, errors)]
    return Captured(written[0], written[1], decode_count(last[-1].payload))


def _give(guest: GuestConnection, channel: int, data: bytes) -> None:
    """Send bytes and their end to a channel, by way of a file that needs no name."""
    file = os.memfd_create("input", os.MFD_CLOEXEC)
    with open(file, "wb", closefd=False) as writer:
        writer.write(data)
    os.lseek(file, 0, os.SEEK_SET)
    Stream(guest.link, channel, source=file, owned=True)


class _Collector:
    """Takes a channel's bytes through a pipe into memory."""

    def __init__(self, guest: GuestConnection, channel: int) -> None:
        self._guest = guest
        self._data = bytearray()
        self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stream = Stream(guest.link, channel, sink=writer, owned=True)
        guest.loop.on_readable(self._reader, self._read)

    def finish(self) -> bytes:
        """Return everything, once the far end has said that there is no more."""
        while self._reader >= 0:
            self._guest.loop.turn()
        return bytes(self._data)

    def _read(self) -> None:
        piece = os.read(self._reader, 65536)
        self._data += piece
        if not piece:
            self._guest.loop.forget(self._reader)
            os.close(self._reader)
            self._reader = -1
