"""The rtnetlink messages that plug a topology's nodes in.

As containerlab does it: an interface is made on the host under a name of its own, moved into the node's
network namespace when the node's links are due, and renamed there.
"""

from __future__ import annotations

import struct

from labkit.fabric.links import (
    CREATE,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_NET_NS_FD,
    NESTED,
    RTM_NEWLINK,
    RTM_SETLINK,
    VETH_INFO_PEER,
)
from labkit.fabric.netlink import Message, attribute

IFLA_MTU, IFLA_LINK, IFLA_MACVLAN_MODE = 4, 5, 1
IFF_PROMISC = 0x100

_ifinfomsg = struct.Struct("=BxHiII")
_u32 = struct.Struct("=I")
_UNCHANGED = _ifinfomsg.pack(0, 0, 0, 0, 0)


def _named(name: str) -> bytes:
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _kind(kind: str, data: bytes = b"") -> bytes:
    details = attribute(IFLA_INFO_DATA | NESTED, data) if data else b""
    return attribute(IFLA_LINKINFO | NESTED, attribute(IFLA_INFO_KIND, kind.encode()) + details)


def make_pair(name: str, peer: str, mtu: int) -> Message:
    """Make a veth pair, both ends down and in this namespace."""
    size = attribute(IFLA_MTU, _u32.pack(mtu))
    ends = attribute(VETH_INFO_PEER | NESTED, _UNCHANGED + _named(peer) + size)
    body = _UNCHANGED + _named(name) + size + _kind("veth", ends)
    return Message(RTM_NEWLINK, CREATE, body, f"make the veth pair {name}, {peer} with an MTU of {mtu}")


def make_dummy(name: str, mtu: int) -> Message:
    """Make a dummy interface, down."""
    body = _UNCHANGED + _named(name) + attribute(IFLA_MTU, _u32.pack(mtu)) + _kind("dummy")
    return Message(RTM_NEWLINK, CREATE, body, f"make the dummy interface {name}")


def make_macvlan(name: str, parent: int, mode: int, parent_name: str) -> Message:
    """Make a macvlan interface on the interface with the index `parent`, down; its MTU is the parent's."""
    body = _UNCHANGED + _named(name) + attribute(IFLA_LINK, _u32.pack(parent))
    body += _kind("macvlan", attribute(IFLA_MACVLAN_MODE, _u32.pack(mode)))
    return Message(RTM_NEWLINK, CREATE, body, f"make a macvlan interface on {parent_name}")


def make_bridge(name: str) -> Message:
    """Make a bridge with Linux' own settings, up."""
    body = _ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP) + _named(name) + _kind("bridge")
    return Message(RTM_NEWLINK, CREATE, body, f"make the bridge {name}")


def move(name: str, descriptor: int, where: str) -> Message:
    """Move the interface `name` into the network namespace open as the descriptor, that of node `where`."""
    body = _UNCHANGED + _named(name) + attribute(IFLA_NET_NS_FD, _u32.pack(descriptor))
    return Message(RTM_SETLINK, 0, body, f"move {name} into {where}")


def settle(index: int, name: str, mac: str = "", *, master: int = 0, promiscuous: bool = False) -> Message:
    """Name the interface with this index, give it its MAC and bridge (`master`: an index), switch it on."""
    flags = IFF_UP | IFF_PROMISC if promiscuous else IFF_UP
    body = _ifinfomsg.pack(0, 0, index, flags, flags) + _named(name)
    if mac:
        body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if master:
        body += attribute(IFLA_MASTER, _u32.pack(master))
    return Message(RTM_SETLINK, 0, body, f"call an interface {name} and switch it on")
