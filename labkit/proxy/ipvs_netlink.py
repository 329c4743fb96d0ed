"""A netlink socket to a namespace's IPVS: thousands of changes in one send, and dumps of what it holds."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from labkit.errors import CapabilityError
from labkit.fabric.netlink import attribute
from labkit.proxy.ipvs_messages import (
    Change,
    Command,
    CountedServer,
    attributes,
    decode_real,
    decode_server,
    encode_change,
    encode_question,
    encode_timeouts,
    is_ours,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labkit.proxy.ipvs import IpvsTimeouts, VirtualServer
    from labkit.proxy.ipvs_messages import CountedReal

CHUNK_BYTES = 128 * 1024  # one acknowledgement a chunk: more are slower, and so are larger chunks
ANSWER_BYTES = 256 * 1024
_GENERIC, _CAP_ACK = 16, 10
_MESSAGE = struct.Struct("=IHHII")
_GENERIC_HEAD = struct.Struct("=BBH")
_HEADS = struct.Struct("=IHHIIBBH")  # both
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_CONTROLLER, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 0x10, 3, 1, 2
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that the guest refused, and its error number."""

    change: Change
    error: int


class IpvsSocket:
    """A socket to the IPVS of the network namespace in which it is made; a context manager.

    `family` is the number that generic netlink has given to IPVS.
    """

    def __init__(self) -> None:
        """Open it; the guest's first one loads ip_vs. Raises CapabilityError where this Linux has no IPVS."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC)
        self._sequence = 0
        self._buffer = memoryview(bytearray(ANSWER_BYTES))  # a fresh one for each answer costs more
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * ANSWER_BYTES)
            self._socket.setsockopt(270, _CAP_ACK, 1)  # SOL_NETLINK: a refusal need not repeat the message
            self._socket.bind((0, 0))
            self.family = self._find_family()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def change(self, changes: Sequence[Change]) -> list[Refusal]:
        """Make the changes in their order and return those that were refused; one refused stops no other."""
        refused: list[Refusal] = []
        done = 0
        for count, batch in packed(changes, self.family, self._sequence + 1):
            first, self._sequence = self._sequence + 1, self._sequence + count
            self._socket.send(batch)
            for sequence, error in self._refusals():
                refused.append(Refusal(changes[done + sequence - first], error))
            done += count
        return refused

    def read(self) -> list[CountedServer]:
        """Return every virtual server with an IPv4 address, its real servers and what they have carried."""
        return [
            decode_server(message, self.read_reals(decode_server(message).server))
            for message in list(self._dump(Command.GET_SERVICE))
            if is_ours(message)
        ]

    def read_reals(self, server: VirtualServer) -> list[CountedReal]:
        """Return the real servers behind one virtual server; none if it is not there."""
        return [decode_real(one) for one in self._dump(Command.GET_DEST, encode_question(server))]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def set_timeouts(self, timeouts: IpvsTimeouts) -> None:
        """Set how long idle connections are remembered; 0 leaves the guest's own value."""
        seconds = (timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s)
        self._request(self.family, Command.SET_CONFIG, encode_timeouts(seconds))

    def _find_family(self) -> int:
        try:
            answer = self._request(_CONTROLLER, _GET_FAMILY, attribute(_FAMILY_NAME, b"IPVS\0"))
        except FileNotFoundError as error:
            raise CapabilityError(
                "this Linux has no IPVS", todo="run it in the lab's Linux: labkit exec -- ..."
            ) from error
        family: int = struct.unpack("=H", attributes(answer)[_FAMILY_ID])[0]
        return family

    def _refusals(self) -> Iterator[tuple[int, int]]:
        """Yield (sequence, error number) of what was refused, until the chunk's last message is answered."""
        for _, sequence, body in self._answers():
            if number := _error_number(body):
                yield sequence, number
            if sequence == self._sequence:
                return

    def _dump(self, command: Command, payload: bytes = b"") -> Iterator[bytes]:
        self._socket.send(self._message(self.family, command, payload, _REQUEST | _DUMP))
        for kind, _, body in self._answers():
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError(_error_number(body), os.strerror(_error_number(body)))
            yield body[_GENERIC_HEAD.size :]

    def _request(self, family: int, command: int, payload: bytes) -> bytes:
        """Send one message, return its answer's attributes, if any. Raises OSError if it is refused."""
        self._socket.send(self._message(family, command, payload, _REQUEST | _ACK))
        answer = b""
        for kind, _, body in self._answers():
            if kind != _ERROR:
                answer = body[_GENERIC_HEAD.size :]
            elif number := _error_number(body):
                raise OSError(number, os.strerror(number))
            else:
                break
        return answer

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (type, sequence, body) of each message that arrives."""
        while True:
            data = bytes(self._buffer[: self._socket.recv_into(self._buffer)])
            offset = 0
            while offset < len(data):
                length, kind, _, sequence, _ = _MESSAGE.unpack_from(data, offset)
                yield kind, sequence, data[offset + _MESSAGE.size : offset + length]
                offset += (length + 3) & ~3

    def _message(self, family: int, command: int, payload: bytes, flags: int) -> bytes:
        self._sequence += 1
        return _message(family, command, payload, flags, self._sequence)


def packed(changes: Iterable[Change], family: int, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield the changes' messages, numbered from `first`, in batches: how many, and their bytes.

    `family` is generic netlink's number for IPVS. A batch has CHUNK_BYTES or a little more; its last message
    asks for an answer.
    """
    messages: list[bytes] = []
    size = 0
    for sequence, change in enumerate(changes, first):
        messages.append(_message(family, change.command, encode_change(change), _REQUEST, sequence))
        size += len(messages[-1])
        if size >= CHUNK_BYTES:
            yield len(messages), _answered(messages)
            messages, size = [], 0
    if messages:
        yield len(messages), _answered(messages)


def _answered(messages: Sequence[bytes]) -> bytes:
    *others, last = messages
    length, family, flags, *rest = _HEADS.unpack_from(last)
    return b"".join((*others, _HEADS.pack(length, family, flags | _ACK, *rest), last[_HEADS.size :]))


def _message(family: int, command: int, payload: bytes, flags: int, sequence: int) -> bytes:
    return _HEADS.pack(_HEADS.size + len(payload), family, flags, sequence, 0, command, _VERSION, 0) + payload


def _error_number(body: bytes) -> int:
    number: int = struct.unpack_from("=i", body)[0]
    return -number
