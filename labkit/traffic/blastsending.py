"""Sending frames by the hundreds: sendmmsg(2) through ctypes on a packet socket, or one send() for each."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from labkit.traffic.blastframes import FrameBatch

FRAMES_PER_CALL = 512


class FrameSender(Protocol):
    """What sends the first frames of a batch; returns how many of them the kernel took."""

    def send(self, count: int) -> int:
        """Send the first `count` frames. Raises OSError for anything but a full queue."""


class _Piece(ctypes.Structure):  # struct iovec
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):  # struct msghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (("header", _Header), ("sent_bytes", ctypes.c_uint32))


class ManySender:
    """sendmmsg: the headers are made once, so that a call for 512 frames is one system call and no more."""

    def __init__(self, opened: socket.socket, batch: FrameBatch) -> None:
        """Prepare for the frames of `batch`. Raises AttributeError where the C library has no sendmmsg."""
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._socket = opened  # kept: without its owner the descriptor would be closed
        size, count = batch.frame_bytes, len(batch.buffer) // batch.frame_bytes
        self._memory = (ctypes.c_char * len(batch.buffer)).from_buffer(batch.buffer)
        start = ctypes.addressof(self._memory)
        self._pieces = (_Piece * count)(*(_Piece(start + number * size, size) for number in range(count)))
        self._messages = (_Message * count)()
        for number, message in enumerate(self._messages):
            message.header.pieces = ctypes.addressof(self._pieces) + number * ctypes.sizeof(_Piece)
            message.header.piece_count = 1

    def send(self, count: int) -> int:
        """Send the first `count` frames; those that a full queue refuses are left out."""
        taken = number = 0
        while number < count:
            at = ctypes.byref(self._messages, number * ctypes.sizeof(_Message))
            sent = self._sendmmsg(self._socket.fileno(), at, count - number, 0)
            if sent < 0:
                reason = ctypes.get_errno()
                if reason == errno.EINTR:
                    continue
                if reason != errno.ENOBUFS:
                    raise OSError(reason, os.strerror(reason))
                number += 1
            else:
                taken, number = taken + sent, number + sent
        return taken


class EachSender:
    """One send() for each frame: where the C library has no sendmmsg."""

    def __init__(self, opened: socket.socket, batch: FrameBatch) -> None:
        """Prepare for the frames of `batch`."""
        self._socket = opened
        whole, size = memoryview(batch.buffer), batch.frame_bytes
        self._frames = [whole[start : start + size] for start in range(0, len(whole), size)]

    def send(self, count: int) -> int:
        """Send the first `count` frames; those that a full queue refuses are left out."""
        taken = 0
        for frame in self._frames[:count]:
            try:
                self._socket.send(frame)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            else:
                taken += 1
        return taken


def frame_sender(opened: socket.socket, batch: FrameBatch) -> FrameSender:
    """Return the faster of the two that this system has."""
    try:
        return ManySender(opened, batch)
    except AttributeError:
        return EachSender(opened, batch)
