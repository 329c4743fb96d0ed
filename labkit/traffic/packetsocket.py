"""Packet sockets (AF_PACKET, packet(7)): what passes an interface, with the kernel's own time stamps."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ETH_P_ALL = 0x0003  # a socket for one protocol sees nothing at a bridge's port: the bridge comes before it
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_IGNORE_OUTGOING = 23
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")
PACKET_BYTES = 65536

# A classic BPF program: instructions (code, jump if true, jump if false, constant).
Program = tuple[tuple[int, int, int, int], ...]


def open_packet_socket(interface: str, buffer_bytes: int, program: Program = ()) -> socket.socket:
    """Open a socket for whatever passes `interface` of the caller's network namespace: Ethernet frames.

    With a `program` it takes IPv4 packets that come in and that the program lets through, from the IP
    header on. It is bound last: nothing gets past the filter. Raises OSError.
    """
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM if program else socket.SOCK_RAW, 0)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        with contextlib.suppress(PermissionError):  # larger than net.core.rmem_max, where it may
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if program:
            _attach(opened, program)
            opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.bind((interface, ETH_P_ALL))
    except BaseException:
        opened.close()
        raise
    return opened


def watch_all_interfaces(buffer_bytes: int) -> socket.socket:
    """Open a socket for whatever passes any interface of the caller's network namespace. Raises OSError."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def read_stamped(opened: socket.socket, most_bytes: int = PACKET_BYTES) -> Iterator[tuple[bytes, int]]:
    """Yield the packets that wait, each with the time it passed (ns since 1970)."""
    with contextlib.suppress(BlockingIOError):
        while True:
            data, ancillary, _, _ = opened.recvmsg(most_bytes, 64, socket.MSG_DONTWAIT)
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            yield data, seconds * 1_000_000_000 + nanoseconds


def read_lost(opened: socket.socket) -> int:
    """Return how many packets found no room in the socket since the last look (PACKET_STATISTICS)."""
    _, lost = struct.unpack("=II", opened.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(lost)


def read_passed(opened: socket.socket) -> int:
    """Return how many packets the filter has let through since the last look, those without room included."""
    passed, _ = struct.unpack("=II", opened.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(passed)


def _attach(opened: socket.socket, program: Program) -> None:
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    code = ctypes.create_string_buffer(instructions, len(instructions))
    descriptor = struct.pack("@HP", len(program), ctypes.addressof(code))
    opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, descriptor)
