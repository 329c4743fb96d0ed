"""Streams over the line: a file at this end, a channel, a file at the far end; the same code at both."""

from __future__ import annotations

import os

from labkit.guest.line import (
    CHANNEL_WINDOW,
    Frame,
    FrameType,
    Line,
    LineError,
    Window,
    decode_count,
    encode_count,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from labkit.guest.loop import Loop

_CHUNK = 32 * 1024
# A blocking pipe that polls as writable takes PIPE_BUF bytes without blocking, so inherited
# descriptors need not be made non-blocking (which would change them for the user's shell too).
_WRITE_SIZE = 4096
_GRANT_SIZE = CHANNEL_WINDOW // 4
END_OF_TRANSMISSION = b"\x04"


class Link:
    """A line, the loop that drives it, and the streams whose frames come over it.

    Frames that belong to no stream go to `on_frame`; `on_end` is called when the far end is gone.
    """

    def __init__(self, line: Line, loop: Loop) -> None:
        self.line = line
        self.loop = loop
        self.on_frame: Callable[[Frame], None] = lambda _: None
        self.on_end: Callable[[], None] = lambda: None
        self._streams: dict[int, Stream] = {}
        self._diverted: dict[int, Callable[[Frame], None]] = {}
        loop.on_readable(line.fd, self._receive)

    @property
    def is_held_up(self) -> bool:
        """Whether the far end must take bytes before this one can send more."""
        return self.line.wants_write or any(stream.is_held_up for stream in self._streams.values())

    def send(self, type_: int, channel: int, payload: bytes = b"") -> None:
        """Send a frame, now or as soon as the line takes it."""
        self.line.send(type_, channel, payload)
        self._watch_output()

    def divert(self, channels: Iterable[int], callback: Callable[[Frame], None] | None) -> None:
        """Give every frame of these channels to `callback`, unread; None ends that."""
        for channel in channels:
            if callback is None:
                self._diverted.pop(channel, None)
            else:
                self._diverted[channel] = callback

    def close(self) -> None:
        """Stop watching the line; the descriptor stays open."""
        self.loop.forget(self.line.fd)

    def _add(self, stream: Stream) -> None:
        self._streams[stream.channel] = stream

    def _remove(self, stream: Stream) -> None:
        self._streams.pop(stream.channel, None)

    def _receive(self) -> None:
        try:
            frames = self.line.receive()
            self._watch_output()
            for frame in frames or ():
                self._dispatch(frame)
        except LineError:
            frames = None  # a far end that speaks nonsense is as good as gone
        if frames is None:
            self.close()
            self.on_end()

    def _dispatch(self, frame: Frame) -> None:
        stream = self._streams.get(frame.channel)
        if frame.channel in self._diverted:
            self._diverted[frame.channel](frame)
        elif frame.type not in _STREAM_FRAMES:
            self.on_frame(frame)
        elif stream is not None:
            stream.handle(frame)

    def _watch_output(self) -> None:
        self.loop.on_writable(self.line.fd, self._flush if self.line.wants_write else None)

    def _flush(self) -> None:
        self.line.flush()
        self._watch_output()


_STREAM_FRAMES = frozenset({FrameType.DATA, FrameType.EOF, FrameType.CLOSED, FrameType.GRANT})


class Stream:
    """Bytes between a channel and files of this end.

    `source` is read and sent; what arrives is written to `sink`; either may be None, both may be one
    descriptor (a terminal, a socket). Descriptors in `owned` are closed when their direction has ended.
    """

    def __init__(
        self, link: Link, channel: int, *, source: int | None = None, sink: int | None = None, owned: bool
    ) -> None:
        self.channel = channel
        self.on_sent: Callable[[], None] = lambda: None
        self.on_received: Callable[[], None] = lambda: None
        self.eof_byte = b""
        self._link = link
        self._source = source
        self._sink = sink
        self._owned = owned
        self._window = Window(CHANNEL_WINDOW)
        self._inbox = bytearray()
        self._passed_on = 0
        self._far_end_done = False
        self._ends_when_empty = False
        self._paused = False
        link._add(self)  # noqa: SLF001 - a link and its streams are one mechanism
        self._watch_source()

    @property
    def sending(self) -> bool:
        """Whether this end may still send bytes."""
        return self._source is not None

    @property
    def is_held_up(self) -> bool:
        """Whether the source stays unread until the far end has passed bytes on."""
        return self._source is not None and self._window.room == 0

    @property
    def receiving(self) -> bool:
        """Whether bytes may still arrive or wait to be passed on."""
        return self._sink is not None

    def pause(self) -> None:
        """Leave the source unread."""
        self._paused = True
        self._watch_source()

    def resume(self) -> None:
        """Read the source again."""
        self._paused = False
        self._watch_source()

    def end_when_empty(self) -> None:
        """Send what the source holds now, then end: its writer has exited."""
        self._ends_when_empty = True
        self._watch_source()

    def send_bytes(self, data: bytes) -> None:
        """Send bytes that did not come from the source."""
        self._window.sent(len(data))
        self._link.send(FrameType.DATA, self.channel, data)

    def handle(self, frame: Frame) -> None:
        """Take a frame of this channel."""
        if frame.type == FrameType.DATA:
            self._receive(frame.payload)
        elif frame.type == FrameType.GRANT:
            self._window.taken(decode_count(frame.payload))
            self._watch_source()
        elif frame.type == FrameType.CLOSED:
            self._end_source()
        elif frame.type == FrameType.EOF:
            self._far_end_done = True
            self._inbox += self.eof_byte
            self._watch_sink()

    def close(self) -> None:
        """Drop both directions at once, without a word to the far end."""
        self._link._remove(self)  # noqa: SLF001
        for fd in {fd for fd in (self._source, self._sink) if fd is not None}:
            self._release(fd)
        self._source = self._sink = None

    def _receive(self, data: bytes) -> None:
        if self._sink is None:
            return
        self._inbox += data
        self._watch_sink()

    def _read(self) -> None:
        source = self._source
        if source is None or self._window.room == 0:  # nothing read then is no end
            return
        try:
            data = os.read(source, min(self._window.room, _CHUNK))
        except BlockingIOError:
            if not self._ends_when_empty:
                return
            data = b""
        except OSError:
            data = b""  # a terminal whose other side is closed says EIO, a reset connection ECONNRESET
        if data:
            self.send_bytes(data)
            self._watch_source()
        else:
            self._link.send(FrameType.EOF, self.channel)
            self._end_source()

    def _watch_source(self) -> None:
        if self._source is None:
            return
        ready = self._window.room > 0 and not self._paused
        self._link.loop.on_readable(self._source, self._read if ready else None)
        if ready and self._ends_when_empty:
            self._link.loop.after(0, self._read)

    def _end_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._link.loop.on_readable(source, None)
            if source != self._sink:
                self._release(source)
            self.on_sent()
        self._remove_when_done()

    def _write(self) -> None:
        if self._sink is None:
            return
        try:
            count = os.write(self._sink, self._inbox[:_WRITE_SIZE])
        except BlockingIOError:
            return
        except OSError:
            self._link.send(FrameType.CLOSED, self.channel)
            self._inbox.clear()
            self._end_sink()
            return
        del self._inbox[:count]
        self._pass_on(count)
        self._watch_sink()

    def _watch_sink(self) -> None:
        if self._sink is None:
            return
        self._link.loop.on_writable(self._sink, self._write if self._inbox else None)
        if self._far_end_done and not self._inbox:
            self._end_sink()

    def _pass_on(self, count: int) -> None:
        self._passed_on += count
        if self._passed_on >= _GRANT_SIZE:
            self._link.send(FrameType.GRANT, self.channel, encode_count(self._passed_on))
            self._passed_on = 0

    def _end_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            self._link.loop.on_writable(sink, None)
            if sink != self._source:
                self._release(sink)
            self.on_received()
        self._remove_when_done()

    def _release(self, fd: int) -> None:
        self._link.loop.forget(fd)
        if self._owned:
            os.close(fd)

    def _remove_when_done(self) -> None:
        if self._source is None and self._sink is None:
            self._link._remove(self)  # noqa: SLF001


def join_socket(link: Link, channel: int, connection: socket.socket) -> Stream:
    """Join a connected, non-blocking socket to a channel; each side's end of file reaches the other."""
    from socket import SHUT_WR

    stream = Stream(link, channel, source=connection.fileno(), sink=connection.fileno(), owned=False)

    def finish() -> None:
        if not stream.receiving and not stream.sending:
            connection.close()
        elif not stream.receiving:
            connection.shutdown(SHUT_WR)

    stream.on_received = finish
    stream.on_sent = finish
    return stream
