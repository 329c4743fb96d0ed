"""What a launcher can do with a guest, over any line to its agent: processes, signals, connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.guest.line import Frame, FrameType, Line, encode_count, encode_pair
from labkit.guest.loop import Loop
from labkit.guest.streams import Link

if TYPE_CHECKING:
    from labkit.guest.process import SpawnRequest

FrameHandler = Callable[[Frame], None]
_LAST_FRAMES = frozenset({FrameType.EXITED, FrameType.FAILED, FrameType.OPENED, FrameType.REFUSED})


class GuestConnection:
    """A line to a guest's agent and the loop that drives it.

    `loop` is the launcher's: register descriptors and timers there, then call `turn` until done.
    """

    def __init__(self, line: Line, channels: range) -> None:
        self.loop = Loop()
        self.link = Link(line, self.loop)
        self.link.on_frame = self._handle
        self._handlers: dict[int, FrameHandler] = {}
        self._channels = channels
        self._used = 0

    @property
    def name(self) -> str:
        """The lab's name, which `labkit attach` takes."""
        raise NotImplementedError

    def turn(self, timeout_s: float | None = None) -> None:
        """Wait for the next event and handle it; raise GuestError when the guest is gone."""
        raise NotImplementedError

    def new_channels(self, count: int) -> range:
        """Return channel numbers that nothing else uses; raise GuestError when all are taken."""
        channels = self._channels[self._used : self._used + count]
        if len(channels) < count:
            raise GuestError("too many streams at once", where=f"lab {self.name}", todo="end a command first")
        self._used += count
        return channels

    def spawn(self, channel: int, request: SpawnRequest, on_frame: FrameHandler) -> None:
        """Start a process. `on_frame` hears STARTED or FAILED, then EXITED after the last of its output."""
        self._handlers[channel] = on_frame
        self.link.send(FrameType.SPAWN, channel, request.to_bytes())

    def send_signal(self, channel: int, number: int) -> None:
        """Send a signal to the process group of the process that `channel` started."""
        self.link.send(FrameType.SIGNAL, channel, encode_count(number))

    def set_size(self, channel: int, rows: int, columns: int) -> None:
        """Tell a process's terminal its size in characters."""
        self.link.send(FrameType.SIZE, channel, encode_pair(rows, columns))

    def connect(self, port: int, on_frame: FrameHandler, *, attempts: int = 1) -> int:
        """Open a TCP connection to the guest's loopback, one attempt each 20 ms; return its channel.

        `on_frame` hears OPENED (then `streams.join_socket` gives the channel its socket) or REFUSED.
        """
        (channel,) = self.new_channels(1)
        self._handlers[channel] = on_frame
        self.link.send(FrameType.CONNECT, channel, encode_pair(port, attempts))
        return channel

    def _handle(self, frame: Frame) -> None:
        handler = self._handlers.get(frame.channel)
        if frame.type in _LAST_FRAMES:
            self._handlers.pop(frame.channel, None)
        if handler is not None:
            handler(frame)
