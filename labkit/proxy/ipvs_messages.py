"""IPVS's generic netlink messages: changes to bytes, and the guest's answers to values. Nothing is sent here.

Attribute numbers are those of <linux/ip_vs.h>. Attributes that always come together, of sizes that never
change, are packed by one format: thirty thousand changes take less than a tenth of a second.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from socket import htons, inet_aton
from typing import TYPE_CHECKING

from labkit.fabric.netlink import attribute, read_attributes
from labkit.proxy.ipvs import RealServer, VirtualServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.spec.model import Protocol

PROTOCOLS: dict[Protocol, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_NAMES: dict[int, Protocol] = {number: name for name, number in PROTOCOLS.items()}
KERNEL_FLAGS = 0x2  # IP_VS_SVC_F_HASHED: the guest's own note
_ALL_FLAGS = 0xFFFFFFFF
_NAT = 0  # IP_VS_CONN_F_MASQ
_NETMASK = 0xFFFFFFFF
_NESTED = 0x8000
# Attributes in a row: length and number, value, padding to 4 bytes. Ports and addresses are in network order.
_NEST = struct.Struct("=HH")
_NAME = struct.Struct("=HHHxx HHHxx HH4s12x HHHxx")  # address family, protocol, address, port
_SETTINGS = struct.Struct("=HHII HHI HHI")  # flags and their mask, time-out, netmask
# Nested: address, port; then forwarding method, weight, upper and lower limit of connections.
_REAL = struct.Struct("=HH HH4s12x HHHxx HHI HHi HHI HHI")


class Command(IntEnum):
    """IPVS_CMD_*: what a message asks for."""

    NEW_SERVICE = 1
    SET_SERVICE = 2
    DEL_SERVICE = 3
    GET_SERVICE = 4
    NEW_DEST = 5
    SET_DEST = 6
    DEL_DEST = 7
    GET_DEST = 8
    SET_CONFIG = 12


_WHOLE = frozenset(
    {Command.NEW_SERVICE, Command.SET_SERVICE}
)  # these say more of a virtual server than its name


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the guest's table: of a virtual server, or of one `real` server behind it."""

    command: Command
    server: VirtualServer
    real: RealServer | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a virtual or real server has carried since it was added."""

    connections: int
    in_packets: int
    out_packets: int
    in_bytes: int
    out_bytes: int


@dataclass(frozen=True, slots=True)
class CountedReal:
    """A real server as the guest holds it: its connections now, and its traffic so far."""

    real: RealServer
    active: int
    inactive: int
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class CountedServer:
    """A virtual server as the guest holds it, which knows no Services: `service_port` is ""."""

    server: VirtualServer
    reals: tuple[CountedReal, ...]
    traffic: Traffic


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes in `data` by number; nested ones stay bytes."""
    return dict(read_attributes(data))


def encode_change(change: Change) -> bytes:
    """Return a change's attributes."""
    server = _encode_name(change.server)
    if change.command in _WHOLE:
        server += _encode_settings(change.server)
    encoded = _NEST.pack(_NEST.size + len(server), 1 | _NESTED) + server
    return encoded if change.real is None else encoded + _encode_real(change.real)


def encode_question(server: VirtualServer) -> bytes:
    """Return the attributes that ask for a virtual server's real servers."""
    return attribute(1 | _NESTED, _encode_name(server))


def encode_timeouts(seconds: Iterable[int]) -> bytes:
    """Return the attributes that set the time-outs of TCP, TCP after FIN, and UDP; 0 leaves one as it is."""
    return b"".join(attribute(number, struct.pack("=I", value)) for number, value in enumerate(seconds, 4))


def decode_server(message: bytes, reals: Iterable[CountedReal] = ()) -> CountedServer:
    """Return the virtual server in one message of a dump, with its real servers."""
    held = attributes(attributes(message)[1])
    counted = tuple(reals)
    server = VirtualServer(
        address=_address(held[3]),
        port=_port(held[4]),
        protocol=_PROTOCOL_NAMES[_number(held[2], "=H")],
        scheduler=held[6].split(b"\0")[0].decode(),
        flags=_number(held[7], "=I") & ~KERNEL_FLAGS,
        timeout_s=_number(held[8], "=I"),
        real_servers=tuple(one.real for one in counted),
        service_port="",
    )
    return CountedServer(server, counted, _decode_traffic(held[12]))


def is_ours(message: bytes) -> bool:
    """Return whether a dump's message is a virtual server with an IPv4 address: no firewall mark, no IPv6."""
    held = attributes(attributes(message)[1])
    return (
        3 in held and _number(held[1], "=H") == socket.AF_INET and _number(held[2], "=H") in _PROTOCOL_NAMES
    )


def decode_real(message: bytes) -> CountedReal:
    """Return the real server in one message of a dump."""
    held = attributes(attributes(message)[2])
    real = RealServer(_address(held[1]), _port(held[2]), _number(held[4], "=i"))
    return CountedReal(real, _number(held[7], "=I"), _number(held[8], "=I"), _decode_traffic(held[12]))


def _encode_name(server: VirtualServer) -> bytes:
    address, protocol = inet_aton(server.address), PROTOCOLS[server.protocol]
    return _NAME.pack(6, 1, socket.AF_INET, 6, 2, protocol, 20, 3, address, 6, 4, htons(server.port))


def _encode_settings(server: VirtualServer) -> bytes:
    scheduler = attribute(6, server.scheduler.encode() + b"\0")
    settings = (12, 7, server.flags, _ALL_FLAGS, 8, 8, server.timeout_s, 8, 9, _NETMASK)
    return scheduler + _SETTINGS.pack(*settings)


def _encode_real(real: RealServer) -> bytes:
    name = (20, 1, inet_aton(real.address), 6, 2, htons(real.port))
    limits = (8, 5, 0, 8, 6, 0)
    return _REAL.pack(_REAL.size, 2 | _NESTED, *name, 8, 3, _NAT, 8, 4, real.weight, *limits)


def _decode_traffic(data: bytes) -> Traffic:
    held = attributes(data)
    return Traffic(*(_number(held[number], "=Q") for number in range(1, 6)))


def _address(data: bytes) -> str:
    return str(IPv4Address(data[:4]))


def _port(data: bytes) -> int:
    return _number(data, ">H")


def _number(data: bytes, form: str) -> int:
    number: int = struct.unpack_from(form, data)[0]
    return number
