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
    from collections.abc import Iterator, Sequence

    from labkit.proxy.ipvs import IpvsTimeouts, VirtualServer
    from labkit.proxy.ipvs_messages import CountedReal

CHUNK_BYTES = 128 * 1024  # one acknowledgement a chunk: more are slower, and so are larger chunks
ANSWER_BYTES = 256 * 1024
_GENERIC, _CAP_ACK = 16, 10
_MESSAGE = struct.Struct("=IHHII")
_GENERIC_HEAD = struct.Struct("=BBH")
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
    """A socket to the IPVS of the network namespace in which it is made; a context manager."""

    def __init__(self) -> None:
        """Open it; the guest's first one loads ip_vs. Raises CapabilityError where this Linux has no IPVS."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC)
        self._sequence = 0
        self._buffer = memoryview(bytearray(ANSWER_BYTES))  # a fresh one for each answer costs more
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * ANSWER_BYTES)
            self._socket.setsockopt(270, _CAP_ACK, 1)  # SOL_NETLINK: a refusal need not repeat the message
            self._socket.bind((0, 0))
            self._family = self._find_family()
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
        for chunk in _chunks(changes):
            by_sequence = self._send_chunk(chunk)
            refused.extend(Refusal(by_sequence[number], error) for number, error in self._refusals())
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
        self._request(self._family, Command.SET_CONFIG, encode_timeouts(seconds))

    def _find_family(self) -> int:
        try:
            answer = self._request(_CONTROLLER, _GET_FAMILY, attribute(_FAMILY_NAME, b"IPVS\0"))
        except FileNotFoundError as error:
            raise CapabilityError(
                "this Linux has no IPVS", todo="run it in the lab's Linux: labkit exec -- ..."
            ) from error
        family: int = struct.unpack("=H", attributes(answer)[_FAMILY_ID])[0]
        return family

    def _send_chunk(self, chunk: Sequence[tuple[Change, bytes]]) -> dict[int, Change]:
        messages = bytearray()
        by_sequence = {}
        for position, (change, payload) in enumerate(chunk, 1):
            flags = _REQUEST | (_ACK if position == len(chunk) else 0)
            messages += self._message(self._family, change.command, payload, flags)
            by_sequence[self._sequence] = change
        self._socket.send(messages)
        return by_sequence

    def _refusals(self) -> Iterator[tuple[int, int]]:
        """Yield (sequence, error number) of what was refused, until the chunk's last message is answered."""
        for _, sequence, body in self._answers():
            if number := _error_number(body):
                yield sequence, number
            if sequence == self._sequence:
                return

    def _dump(self, command: Command, payload: bytes = b"") -> Iterator[bytes]:
        self._socket.send(self._message(self._family, command, payload, _REQUEST | _DUMP))
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
        length = _MESSAGE.size + _GENERIC_HEAD.size + len(payload)
        head = _MESSAGE.pack(length, family, flags, self._sequence, 0)
        return head + _GENERIC_HEAD.pack(command, _VERSION, 0) + payload


def _error_number(body: bytes) -> int:
    number: int = struct.unpack_from("=i", body)[0]
    return -number


def _chunks(changes: Sequence[Change]) -> Iterator[list[tuple[Change, bytes]]]:
    chunk: list[tuple[Change, bytes]] = []
    size = 0
    for change in changes:
        payload = encode_change(change)
        size += len(payload) + _MESSAGE.size + _GENERIC_HEAD.size
        if size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], len(payload)
        chunk.append((change, payload))
    if chunk:
        yield chunk
