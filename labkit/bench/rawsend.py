"""Netlink messages that were packed before, sent as they are: what is left at that time is the kernel's."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

_ERROR_NUMBER, _AFTER_HEADER = struct.Struct("=i"), 16
_ANSWER_BYTES = 1 << 14


def send_batch(netlink: socket.socket, batch: bytes | bytearray) -> None:
    """Send messages of which the last one asks for an answer. Raises OSError for the first refused."""
    netlink.send(batch)
    (number,) = _ERROR_NUMBER.unpack_from(netlink.recv(_ANSWER_BYTES), _AFTER_HEADER)
    if number:
        raise OSError(-number, os.strerror(-number))


def send_batches(netlink: socket.socket, batches: Iterable[bytes]) -> None:
    """Send one batch after the other, each when the one before is answered. Errors as for `send_batch`."""
    for batch in batches:
        send_batch(netlink, batch)
