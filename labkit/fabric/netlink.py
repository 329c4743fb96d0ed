"""Batches of rtnetlink messages: many messages in one sendmsg, one acknowledgement, and every refusal named.

The messages are packed by hand: a guest starts in a second, and importing a netlink library alone would take
another. The kernel works through a batch before sendmsg returns, goes on after a refusal, and answers a
message without NLM_F_ACK only to refuse it; so the acknowledgement of the last message ends all answers.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from labkit.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_EXT_ACK = 270, 1, 11
RTNLGRP_LINK = 1
NETLINK_NETFILTER = 12
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES = 16, 17, 10
SO_RCVBUFFORCE = 33
NLMSGERR_ATTR_MSG = 1
CHUNK_BYTES = 64_000  # larger ones were slower, and this fits every default send buffer
RECEIVE_BYTES = 1 << 14  # the kernel fits dumps to it; a large buffer would be fresh pages for every answer

_header = struct.Struct("=IHHII")
_attribute = struct.Struct("=HH")
_errno = struct.Struct("=i")
_batch_head = struct.Struct("!BBH")


def _batch_bound(kind: int) -> bytes:
    return _header.pack(_header.size + _batch_head.size, kind, NLM_F_REQUEST, 0, 0) + _batch_head.pack(
        socket.AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES
    )


@dataclass(frozen=True, slots=True)
class Message:
    """One rtnetlink request. `what` says what it does, in words that fit after "Linux refused to"."""

    kind: int
    flags: int
    body: bytes
    what: str


class RefusedError(BuildError):
    """The kernel refused one message of a batch. `errno` is its reason, the message has its own words too."""

    def __init__(self, message: Message, number: int, words: str, *, where: str) -> None:
        """Say which `message` was refused in which namespace (`where`)."""
        explanation = f" ({words})" if words else ""
        super().__init__(
            f"Linux refused to {message.what}: {os.strerror(number)}{explanation}",
            where=f"network namespace {where}",
            todo="check what else has this name, index or address there: ip address, ip route",
        )
        self.errno = number


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one netlink attribute, padded to 4 bytes."""
    length = len(payload) + 4
    return _attribute.pack(length, kind) + payload + bytes(-length % 4)


def read_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, payload) of each attribute in `data`; the kind without its flag bits."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _attribute.unpack_from(data, offset)
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += max(4, length + 3 & ~3)


class RouteSocket:
    """A netlink socket of the namespace that the calling thread is in; any thread may use it later.

    `with namespace.run(lambda: RouteSocket(namespace.name)) as socket: socket.send([...])`
    """

    _protocol: ClassVar[int] = socket.NETLINK_ROUTE

    def __init__(self, where: str) -> None:
        """Open it; `where` is the namespace's name in errors. BuildError at the limit of open files."""
        self.where = where
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, self._protocol)
        except OSError as error:
            raise BuildError(
                f"no netlink socket: {error.strerror}",
                where=f"network namespace {where}",
                todo="use fewer pods, or allow more open files: ulimit -n",
            ) from error
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._sequence = 0
        self._heard = False  # an event that came between the parts of an answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, messages: Iterable[Message]) -> None:
        """Have the kernel do all `messages` in their order. Raises RefusedError for the first refused."""
        chunk: list[Message] = []
        size = 0
        for message in messages:
            if size > CHUNK_BYTES:
                self._send_chunk(chunk)
                chunk, size = [], 0
            chunk.append(message)
            size += len(message.body) + _header.size
        if chunk:
            self._send_chunk(chunk)

    def _send_chunk(self, chunk: Sequence[Message]) -> None:
        first = self._sequence + 1
        self._sequence += len(chunk)
        self._socket.send(b"".join(packed(chunk, first)))
        self._raise_refusals(chunk, first)

    def _raise_refusals(self, sent: Sequence[Message], first: int) -> None:
        refused: RefusedError | None = None
        for kind, flags, sequence, body in self._replies(self._sequence):
            number = -_errno.unpack_from(body)[0] if kind == NLMSG_ERROR else 0
            if number and refused is None:
                message = sent[max(0, sequence - first)]
                refused = RefusedError(message, number, _kernels_words(flags, body), where=self.where)
        if refused is not None:
            raise refused

    def _replies(self, last: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield (kind, flags, sequence, body) of each reply, up to the one to message `last`."""
        sequence = 0
        while sequence != last:
            for kind, flags, sequence, body in split_messages(self._socket.recv(RECEIVE_BYTES)):
                yield kind, flags, sequence, body

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for all objects of a `kind`; return the bodies of the answers."""
        self._sequence += 1
        length = _header.size + len(body)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.send(_header.pack(length, kind, flags, self._sequence, 0) + body)
        found: list[bytes] = []
        while True:
            for reply, _, sequence, content in split_messages(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    self._heard = True
                    continue
                if reply in {NLMSG_DONE, NLMSG_ERROR}:
                    return found
                found.append(content)

    def listen_to_links(self) -> None:
        """From now on let `wait_for_event` see changes of interfaces."""
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK)

    def wait_for_event(self, deadline: float) -> bool:
        """Wait for a change, to `deadline` (time.monotonic), and return whether there was one."""
        if self._heard:
            self._heard = False
            return True
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(None)
        return True


class NetfilterSocket(RouteSocket):
    """A netlink socket to a namespace's netfilter: ipsets, connection tracking. Used like a RouteSocket."""

    _protocol = NETLINK_NETFILTER

    def send_transaction(self, messages: Sequence[Message]) -> None:
        """Have nf_tables do all `messages`, or none of them. Raises RefusedError for the first refused."""
        first = self._sequence + 1
        self._sequence += len(messages)
        begin, end = _batch_bound(NFNL_MSG_BATCH_BEGIN), _batch_bound(NFNL_MSG_BATCH_END)
        self._socket.send(b"".join([begin, *packed(messages, first), end]))
        self._raise_refusals(messages, first)

    def join(self, groups: Iterable[int]) -> None:
        """Hear what the kernel tells all members of multicast groups, from now on."""
        self._socket.bind((0, 0))  # the kernel looks for members among the sockets that have a port
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def make_room(self, buffer_bytes: int) -> None:
        """Let so much wait unread, beyond the namespace's own limit."""
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)

    def has_overflowed(self) -> bool:
        """Return whether something found no room since the last look; the kernel says so once (ENOBUFS)."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def pack_message(message: Message, flags: int, sequence: int) -> bytes:
    """Return the bytes of one message; `flags` are all that it has."""
    length = _header.size + len(message.body)
    head = _header.pack(length, message.kind, flags, sequence, 0)
    return head + message.body + bytes(-len(message.body) % 4)


def packed(chunk: Sequence[Message], first: int) -> Iterator[bytes]:
    """Yield the bytes of messages to send at once, numbered from `first`; the last asks for an answer."""
    last = first + len(chunk) - 1
    for sequence, message in enumerate(chunk, first):
        flags = message.flags | (NLM_F_REQUEST | NLM_F_ACK if sequence == last else NLM_F_REQUEST)
        yield pack_message(message, flags, sequence)


def split_messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (kind, flags, sequence, body) of each message in what was received."""
    offset = 0
    while offset < len(data):
        length, kind, flags, sequence, _ = _header.unpack_from(data, offset)
        yield kind, flags, sequence, data[offset + _header.size : offset + length]
        offset += length + 3 & ~3


def _kernels_words(flags: int, body: bytes) -> str:
    """Return the extended acknowledgement's text; it follows the errno and the refused message."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    quoted = _header.size if flags & NLM_F_CAPPED else _header.unpack_from(body, _errno.size)[0] + 3 & ~3
    for kind, payload in read_attributes(body[_errno.size + quoted :]):
        if kind == NLMSGERR_ATTR_MSG:
            return payload.rstrip(b"\0").decode(errors="replace")
    return ""
