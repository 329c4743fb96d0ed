"""A netlink socket to a namespace's nftables: one transaction in one send, all of it or nothing.

The program nft reads all chains and sets of all tables before it writes one rule; what that costs grows with
the table. A transaction says all it needs, and the kernel asks for nothing more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

from labkit.fabric.netlink import (
    NLM_F_REQUEST,
    NLMSG_ERROR,
    RECEIVE_BYTES,
    Message,
    NetfilterSocket,
    pack_message,
    split_messages,
)
from labkit.proxy.nftables_messages import SUBSYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES = 128 * 1024  # of a transaction: more may not fit the socket's buffer
_BEGIN, _END = 0x10, 0x11  # NFNL_MSG_BATCH_
_HEAD = struct.pack(">BBH", 0, 0, SUBSYSTEM)
_ERRNO = struct.Struct("=i")


class NftablesSocket(NetfilterSocket):
    """A socket to the nftables of the namespace that the calling thread is in; used like a RouteSocket."""

    def commit(self, messages: Sequence[Message]) -> tuple[int, str] | None:
        """Do all `messages`, or none; return which one was refused and why, None if none was.

        The number is -1 where the whole was refused: too deep a chain of jumps, for example.
        """
        first = self._sequence + 1
        self._sequence = last = first + len(messages) + 1
        inner = (
            pack_message(message, message.flags | NLM_F_REQUEST, sequence)
            for sequence, message in enumerate(messages, first + 1)
        )
        begin, end = (Message(kind, 0, _HEAD, "") for kind in (_BEGIN, _END))
        self._socket.send(
            pack_message(begin, NLM_F_REQUEST, first)
            + b"".join(inner)
            + pack_message(end, NLM_F_REQUEST, last)
        )
        refused = self._refusals()
        return (refused[0][0] - first - 1, os.strerror(refused[0][1])) if refused else None

    def _refusals(self) -> list[tuple[int, int]]:
        """Return (sequence, errno) of what was refused; when send() returns all of it is told."""
        found: list[tuple[int, int]] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
                for kind, _, sequence, body in split_messages(data):
                    if kind == NLMSG_ERROR and (error := -_ERRNO.unpack_from(body)[0]):
                        found.append((sequence, error))
        return found
