"""ipset's netlink messages that add and remove members: text as `ipset` prints it to bytes. Nothing is sent.

Attribute numbers are those of <linux/netfilter/ipset/ip_set.h>. Numbers on the wire are big-endian, and their
attributes say so (NLA_F_NET_BYTEORDER).
"""

from __future__ import annotations

import socket
import struct
from typing import Literal

from labkit.fabric.netlink import Message, attribute

_SUBSYSTEM = 6 << 8  # NFNL_SUBSYS_IPSET
_COMMANDS = {"add": 9, "del": 10}
_PROTOCOL_VERSION = 6
_HEAD = struct.Struct("=BBH")  # nfgenmsg
_NESTED, _BIG_ENDIAN = 0x8000, 0x4000
_PROTOCOL, _NAME, _DATA = 1, 2, 7
_IP, _PORT, _PROTO, _IP2, _CIDR2 = 1, 4, 7, 20, 21
_PROTO_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}


def member_message(verb: Literal["add", "del"], set_name: str, member: str) -> Message:
    """Return the message that adds a member to a set or removes it; done twice it does nothing.

    `member` is what `ipset` prints: `80`, `10.96.0.1`, `10.96.0.1,tcp:80` and a third part, an address or a
    network.
    """
    body = _HEAD.pack(socket.AF_INET, 0, 0)
    body += attribute(_PROTOCOL, bytes((_PROTOCOL_VERSION,)))
    body += attribute(_NAME, set_name.encode() + b"\0")
    body += attribute(_DATA | _NESTED, _member(member))
    kind = _SUBSYSTEM | _COMMANDS[verb]
    return Message(kind, 0, body, f"{verb} {member} in the ipset {set_name}")


def _member(member: str) -> bytes:
    first, _, rest = member.partition(",")
    if first.isdigit():
        return _port(first)
    if not rest:
        return _address(_IP, first)
    port, _, third = rest.partition(",")
    proto, _, number = port.partition(":")
    encoded = _address(_IP, first) + _port(number) + attribute(_PROTO, bytes((_PROTO_NUMBERS[proto],)))
    if not third:
        return encoded
    network, _, length = third.partition("/")
    encoded += _address(_IP2, network)
    return encoded + attribute(_CIDR2, bytes((int(length),))) if length else encoded


def _address(kind: int, address: str) -> bytes:
    return attribute(kind | _NESTED, attribute(1 | _BIG_ENDIAN, socket.inet_aton(address)))


def _port(number: str) -> bytes:
    return attribute(_PORT | _BIG_ENDIAN, struct.pack(">H", int(number)))
