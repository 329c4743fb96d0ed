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
    IFLA_MASTER,
    IFLA_NET_NS_FD,
    NESTED,
    RTM_NEWLINK,
    RTM_SETLINK,
    VETH_INFO_PEER,
    kind_of_link,
    name_of_link,
)
from labkit.fabric.netlink import Message, attribute

IFLA_MTU, IFLA_LINK, IFLA_MACVLAN_MODE = 4, 5, 1
IFF_PROMISC = 0x100

_ifinfomsg = struct.Struct("=BxHiII")
_u32 = struct.Struct("=I")
_UNCHANGED = _ifinfomsg.pack(0, 0, 0, 0, 0)


def make_pair(name: str, peer: str, mtu: int) -> Message:
    """Make a veth pair, both ends down and in this namespace."""
    size = attribute(IFLA_MTU, _u32.pack(mtu))
    ends = attribute(VETH_INFO_PEER | NESTED, _UNCHANGED + name_of_link(peer) + size)
    body = _UNCHANGED + name_of_link(name) + size + kind_of_link("veth", ends)
    return Message(RTM_NEWLINK, CREATE, body, f"make the veth pair {name}, {peer} with an MTU of {mtu}")


def make_dummy(name: str, mtu: int) -> Message:
    """Make a dummy interface, down."""
    body = _UNCHANGED + name_of_link(name) + attribute(IFLA_MTU, _u32.pack(mtu)) + kind_of_link("dummy")
    return Message(RTM_NEWLINK, CREATE, body, f"make the dummy interface {name}")


def make_macvlan(name: str, parent: int, mode: int, parent_name: str) -> Message:
    """Make a macvlan interface on the interface with the index `parent`, down; its MTU is the parent's."""
    body = _UNCHANGED + name_of_link(name) + attribute(IFLA_LINK, _u32.pack(parent))
    body += kind_of_link("macvlan", attribute(IFLA_MACVLAN_MODE, _u32.pack(mode)))
    return Message(RTM_NEWLINK, CREATE, body, f"make a macvlan interface on {parent_name}")


def make_bridge(name: str) -> Message:
    """Make a bridge with Linux' own settings, up."""
    body = _ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP) + name_of_link(name) + kind_of_link("bridge")
    return Message(RTM_NEWLINK, CREATE, body, f"make the bridge {name}")


def move(name: str, descriptor: int, where: str) -> Message:
    """Move the interface `name` into the network namespace open as the descriptor, that of node `where`."""
    body = _UNCHANGED + name_of_link(name) + attribute(IFLA_NET_NS_FD, _u32.pack(descriptor))
    return Message(RTM_SETLINK, 0, body, f"move {name} into {where}")


def settle(index: int, name: str, mac: str = "", *, master: int = 0, promiscuous: bool = False) -> Message:
    """Name the interface with this index, give it its MAC and bridge (`master`: an index), switch it on."""
    flags = IFF_UP | IFF_PROMISC if promiscuous else IFF_UP
    body = _ifinfomsg.pack(0, 0, index, flags, flags) + name_of_link(name)
    if mac:
        body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if master:
        body += attribute(IFLA_MASTER, _u32.pack(master))
    return Message(RTM_SETLINK, 0, body, f"call an interface {name} and switch it on")
