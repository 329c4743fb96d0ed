"""The line between host and guest: frames over one serial port, and how much may be under way.

A frame is `type, channel, length, payload`. Two windows keep the line alive:

* per line, host to guest: at most LINE_WINDOW bytes that the guest has not acknowledged. The packaged
  User-Mode Linux throttles its serial port when the tty's 4,096-byte buffer fills and never wakes it again.
* per channel, both ways: at most CHANNEL_WINDOW bytes that the far end has not passed on, so that a
  reader who has stopped reading holds up its own channel and no other.
"""

from __future__ import annotations

import os
import struct

from labkit.record import Record

LINE_WINDOW = 2048
CHANNEL_WINDOW = 128 * 1024
MAX_PAYLOAD = 16 * 1024 * 1024
_READ_SIZE = 64 * 1024
_HEADER = struct.Struct("!BII")
_COUNT = struct.Struct("!I")
_PAIR = struct.Struct("!II")


class FrameType:
    """What a frame says. The far end of a channel is a process, one of its streams, or a connection.

    Plain numbers: `enum` takes the guest longer to import than the rest of this file.
    """

    ACK = 1  # guest to host: so many bytes of the line were read
    HELLO = 2  # guest to host: the agent is up; payload is GuestInfo as text
    SPAWN = 3  # host to guest: start a process (marshal)
    STARTED = 4  # guest to host: it runs
    FAILED = 5  # guest to host: it could not be started (a count, its status; why)
    EXITED = 6  # guest to host: its wait status, after the last of its output
    SIGNAL = 7  # host to guest: for the process group
    SIZE = 8  # host to guest: terminal rows and columns (two counts)
    CONNECT = (
        9  # host to guest: open a connection to a port of the guest's loopback (two counts: port, attempts)
    )
    OPENED = 10  # guest to host: it is open
    REFUSED = 11  # guest to host: it could not be opened (payload: why)
    DATA = 12  # bytes of a stream
    EOF = 13  # no more bytes will come on this channel
    CLOSED = 14  # nobody takes bytes of this channel any more
    GRANT = 15  # so many bytes of this channel were passed on
    POWER_OFF = 16  # host to guest: the work is done
    OVERTIME = 17  # guest to host: the bound on the guest's time is reached
    CALL = 18  # guest to host: a process there has a job for a guest of its own; the channel is its stream


FRAME_TYPES = range(FrameType.ACK, FrameType.CALL + 1)


class LineError(Exception):
    """The bytes on the line are not frames."""


class Frame(Record):
    """One message on the line."""

    type: int
    channel: int
    payload: bytes = b""


def encode_frame(frame: Frame) -> bytes:
    """Return the frame as bytes; `decode` of them gives the frame back."""
    return _HEADER.pack(frame.type, frame.channel, len(frame.payload)) + frame.payload


def encode_count(count: int) -> bytes:
    """Return a byte count, a signal or a wait status as a payload."""
    return _COUNT.pack(count)


def decode_count(payload: bytes) -> int:
    """Return the number in a payload; raise LineError when it holds none."""
    if len(payload) != _COUNT.size:
        raise LineError(f"a count of {len(payload)} bytes")
    (count,) = _COUNT.unpack(payload)
    return int(count)


def encode_pair(first: int, second: int) -> bytes:
    """Return two counts as a payload."""
    return _PAIR.pack(first, second)


def decode_pair(payload: bytes) -> tuple[int, int]:
    """Return the two counts in a payload; raise LineError when it does not hold two."""
    if len(payload) != _PAIR.size:
        raise LineError(f"two counts of {len(payload)} bytes")
    first, second = _PAIR.unpack(payload)
    return int(first), int(second)


def encode_failure(status: int, message: str) -> bytes:
    """Return as a payload why a process could not be started, and the exit status that says so."""
    return encode_count(status) + message.encode(errors="surrogateescape")


def decode_failure(payload: bytes) -> tuple[int, str]:
    """Return the exit status and the message that `encode_failure` wrote; raise LineError for less."""
    message = payload[_COUNT.size :].decode(errors="surrogateescape")
    return decode_count(payload[: _COUNT.size]), message


class Decoder:
    """Bytes in, in any pieces; whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes; raise LineError for bytes that cannot be a frame."""
        self._buffer += data
        frames = []
        start = 0
        while len(self._buffer) - start >= _HEADER.size:
            type_, channel, length = _HEADER.unpack_from(self._buffer, start)
            if type_ not in FRAME_TYPES or length > MAX_PAYLOAD:
                raise LineError(f"no frame begins with {bytes(self._buffer[start : start + 9])!r}")
            end = start + _HEADER.size + length
            if end > len(self._buffer):
                break
            frames.append(Frame(type_, channel, bytes(self._buffer[start + _HEADER.size : end])))
            start = end
        del self._buffer[:start]
        return frames


class Window:
    """How many bytes may be sent before the far end says that it has taken some."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._underway = 0

    @property
    def room(self) -> int:
        """Bytes that may be sent now."""
        return self._limit - self._underway

    def sent(self, count: int) -> None:
        """Note bytes that were sent; raise LineError when they were more than the room."""
        if count > self.room:
            raise LineError(f"{count} bytes sent where {self.room} may be")
        self._underway += count

    def taken(self, count: int) -> None:
        """Note bytes that the far end has taken; raise LineError when it was never sent so many."""
        if count > self._underway:
            raise LineError(f"{count} bytes acknowledged where {self._underway} are under way")
        self._underway -= count


class Line:
    """One end of the line, over a non-blocking file descriptor. Call it when the descriptor is ready."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._decoder = Decoder()
        self._out = bytearray()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait that may be sent now."""
        return bool(self._out) and self._room() > 0

    def send(self, type_: int, channel: int, payload: bytes = b"") -> None:
        """Queue a frame and send what can be sent at once."""
        self._out += encode_frame(Frame(type_, channel, payload))
        self.flush()

    def flush(self) -> None:
        """Send as many queued bytes as the window and the descriptor take."""
        while self.wants_write:
            try:
                count = os.write(self.fd, self._out[: min(self._room(), _READ_SIZE)])
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()  # the far end is gone: the next read says so
                return
            self._note_sent(count)
            del self._out[:count]

    def receive(self) -> list[Frame] | None:
        """Return the frames that have arrived, or None when the far end is gone."""
        try:
            data = os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._note_received(len(data))
        return self._without_acknowledgements(self._decoder.feed(data))

    def _room(self) -> int:
        return _READ_SIZE

    def _note_sent(self, count: int) -> None:
        pass

    def _note_received(self, count: int) -> None:
        pass

    def _without_acknowledgements(self, frames: list[Frame]) -> list[Frame]:
        return frames


class HostLine(Line):
    """The host's end: it keeps to the window."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._window = Window(LINE_WINDOW)

    def _room(self) -> int:
        return self._window.room

    def _note_sent(self, count: int) -> None:
        self._window.sent(count)

    def _without_acknowledgements(self, frames: list[Frame]) -> list[Frame]:
        for frame in frames:
            if frame.type == FrameType.ACK:
                self._window.taken(decode_count(frame.payload))
        self.flush()
        return [frame for frame in frames if frame.type != FrameType.ACK]


class GuestLine(Line):
    """The guest's end: it acknowledges every read."""

    def _note_received(self, count: int) -> None:
        self.send(FrameType.ACK, 0, encode_count(count))
