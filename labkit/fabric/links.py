"""Interfaces, addresses, routes and neighbours as rtnetlink messages (linux/if_link.h, linux/rtnetlink.h)."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from labkit.fabric.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    attribute,
    read_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.spec.addressplan import Address, Interface, LinkPlan, Neighbour, Route

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH = 20, 21, 24, 25, 28
AF_BRIDGE = 7
IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_PROTINFO = 1, 3, 10, 12
IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_INFO_KIND, IFLA_INFO_DATA = 18, 28, 1, 2
IFLA_BR_MCAST_SNOOPING, IFLA_BR_VLAN_DEFAULT_PVID, IFLA_BRPORT_STATE, IFLA_BRPORT_MODE = 23, 39, 1, 4
VETH_INFO_PEER = 1
NESTED = 0x8000
BR_STATE_FORWARDING = 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST, RTN_BLACKHOLE, RTNH_F_ONLINK = 254, 3, 1, 6, 4
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
NDA_DST, NDA_LLADDR = 1, 2
NUD_NOARP, NUD_PERMANENT, NTF_MASTER = 0x40, 0x80, 0x04
LOOPBACK_INDEX = 1
CREATE = NLM_F_CREATE | NLM_F_EXCL
PUT = NLM_F_CREATE | NLM_F_REPLACE

_ifinfomsg = struct.Struct("=BxHiII")
_ifaddrmsg = struct.Struct("=BBBBI")
_rtmsg = struct.Struct("=BBBBBBBBI")
_ndmsg = struct.Struct("=BxxxiHBB")
_u32 = struct.Struct("=I")


def name_of_link(name: str) -> bytes:
    """Return the attribute that names an interface."""
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _mac(kind: int, mac: str) -> bytes:
    return attribute(kind, bytes.fromhex(mac.replace(":", "")))


def kind_of_link(kind: str, data: bytes = b"") -> bytes:
    """Return the attribute that says what kind of interface it is, with the kind's own attributes."""
    details = attribute(IFLA_INFO_DATA | NESTED, data) if data else b""
    return attribute(IFLA_LINKINFO | NESTED, attribute(IFLA_INFO_KIND, kind.encode()) + details)


# Nothing in the lab is multicast, and nothing has a VLAN: a bridge that knows neither is quieter and quicker.
_BRIDGE = kind_of_link(
    "bridge", attribute(IFLA_BR_MCAST_SNOOPING, b"\0") + attribute(IFLA_BR_VLAN_DEFAULT_PVID, b"\0\0")
)
_HAIRPIN = attribute(IFLA_PROTINFO | NESTED, attribute(IFLA_BRPORT_MODE, b"\1"))
_BRIDGE_DUMP = _ifinfomsg.pack(AF_BRIDGE, 0, 0, 0, 0)


def add_bridge(interface: Interface) -> Message:
    """Make a bridge, up."""
    body = _ifinfomsg.pack(0, 0, interface.index, IFF_UP, IFF_UP)
    body += name_of_link(interface.name) + _mac(IFLA_ADDRESS, interface.mac) + _BRIDGE
    return Message(RTM_NEWLINK, CREATE, body, f"make the bridge {interface.name}")


def add_veth(link: LinkPlan, inner_descriptor: int) -> Message:
    """Make a veth pair: the port up and on its bridge, the peer in the namespace open as the descriptor."""
    peer = _ifinfomsg.pack(0, 0, link.interface.index, 0, 0)
    peer += name_of_link(link.interface.name) + _mac(IFLA_ADDRESS, link.interface.mac)
    peer += attribute(IFLA_NET_NS_FD, _u32.pack(inner_descriptor))
    body = _ifinfomsg.pack(0, 0, link.port.index, IFF_UP, IFF_UP)
    body += name_of_link(link.port.name) + _mac(IFLA_ADDRESS, link.port.mac)
    body += attribute(IFLA_MASTER, _u32.pack(link.bridge.index))
    body += kind_of_link("veth", attribute(VETH_INFO_PEER | NESTED, peer))
    return Message(
        RTM_NEWLINK, CREATE, body, f"link {link.port.name} to {link.interface.name} in {link.inner}"
    )


def set_hairpin(port: Interface) -> Message:
    """Let the bridge send a frame out of the `port` it came from: a pod's to itself, by its Service."""
    body = _ifinfomsg.pack(AF_BRIDGE, 0, port.index, 0, 0) + _HAIRPIN
    return Message(RTM_SETLINK, 0, body, f"set hairpin mode on {port.name}")


def add_forwarding_entry(port: Interface, mac: str) -> Message:
    """Tell the port's bridge that `mac` is behind it, so that no first frame floods all ports."""
    body = _ndmsg.pack(AF_BRIDGE, port.index, NUD_NOARP, NTF_MASTER, 0) + _mac(NDA_LLADDR, mac)
    return Message(RTM_NEWNEIGH, PUT, body, f"forward frames for {mac} to {port.name}")


def set_up(name: str, index: int) -> Message:
    """Switch an interface on."""
    return Message(RTM_SETLINK, 0, _ifinfomsg.pack(0, 0, index, IFF_UP, IFF_UP), f"switch {name} on")


def set_down(name: str, index: int) -> Message:
    """Switch an interface off."""
    return Message(RTM_SETLINK, 0, _ifinfomsg.pack(0, 0, index, 0, IFF_UP), f"switch {name} off")


def delete_link(name: str, index: int) -> Message:
    """Remove an interface (and its peer, of a veth pair)."""
    return Message(RTM_DELLINK, 0, _ifinfomsg.pack(0, 0, index, 0, 0), f"remove the interface {name}")


def add_monitor(name: str) -> Message:
    """Make an interface, up, on which all netlink messages of the namespace pass (nlmon)."""
    body = _ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP) + name_of_link(name) + kind_of_link("nlmon")
    return Message(RTM_NEWLINK, CREATE, body, f"make the netlink monitor {name}")


def delete_by_name(name: str) -> Message:
    """Remove the interface called `name`."""
    return Message(
        RTM_DELLINK, 0, _ifinfomsg.pack(0, 0, 0, 0, 0) + name_of_link(name), f"remove the interface {name}"
    )


def add_address(address: Address) -> Message:
    """Give an interface an address; one that is there already is refused."""
    return Message(
        RTM_NEWADDR, CREATE, _address(address), f"add {_written(address)} to {address.interface.name}"
    )


def delete_address(address: Address) -> Message:
    """Take an address from an interface."""
    return Message(
        RTM_DELADDR, 0, _address(address), f"remove {_written(address)} from {address.interface.name}"
    )


def _written(address: Address) -> str:
    return f"{address.address}/{address.prefix_length}"


def _address(address: Address) -> bytes:
    packed = socket.inet_aton(address.address)
    head = _ifaddrmsg.pack(
        socket.AF_INET, address.prefix_length, 0, RT_SCOPE_UNIVERSE, address.interface.index
    )
    return head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)


def add_route(route: Route) -> Message:
    """Add a route to the main table."""
    network, _, length = route.destination.partition("/")
    scope = RT_SCOPE_UNIVERSE if route.via else RT_SCOPE_LINK
    flags = RTNH_F_ONLINK if route.onlink else 0
    body = _rtmsg.pack(
        socket.AF_INET, int(length), 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, flags
    )
    if length != "0":
        body += attribute(RTA_DST, socket.inet_aton(network))
    if route.via:
        body += attribute(RTA_GATEWAY, socket.inet_aton(route.via))
    body += attribute(RTA_OIF, _u32.pack(route.interface.index))
    via = f" via {route.via}" if route.via else ""
    return Message(
        RTM_NEWROUTE, CREATE, body, f"add the route to {route.destination}{via} on {route.interface.name}"
    )


def add_blackhole(network: str) -> Message:
    """Let no route lead to `network`: what would be sent there is dropped."""
    return Message(RTM_NEWROUTE, CREATE, _blackhole(network), f"close the way to {network}")


def remove_blackhole(network: str) -> Message:
    """Take back what `add_blackhole` did."""
    return Message(RTM_DELROUTE, 0, _blackhole(network), f"open the way to {network}")


def _blackhole(network: str) -> bytes:
    address, _, length = network.partition("/")
    body = _rtmsg.pack(
        socket.AF_INET, int(length), 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_BLACKHOLE, 0
    )
    return body + attribute(RTA_DST, socket.inet_aton(address))


def add_neighbour(neighbour: Neighbour) -> Message:
    """Put a permanent entry into the neighbour table: no ARP is asked for it."""
    body = _ndmsg.pack(socket.AF_INET, neighbour.interface.index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, socket.inet_aton(neighbour.address)) + _mac(NDA_LLADDR, neighbour.mac)
    what = f"set the MAC of {neighbour.address} on {neighbour.interface.name}"
    return Message(RTM_NEWNEIGH, PUT, body, what)


def bridge_ports_request() -> tuple[int, bytes]:
    """Return the request, for `RouteSocket.dump`, that lists a namespace's bridge ports."""
    return RTM_GETLINK, _BRIDGE_DUMP


def forwarding_ports(replies: Iterable[bytes]) -> set[int]:
    """Return the indexes of the bridge ports that forward, out of the answers to `bridge_ports_request`."""
    forwarding = set()
    for body in replies:
        for kind, payload in read_attributes(body[_ifinfomsg.size :]):
            if kind == IFLA_PROTINFO and (IFLA_BRPORT_STATE, bytes([BR_STATE_FORWARDING])) in read_attributes(
                payload
            ):
                forwarding.add(index_of(body))
    return forwarding


def index_of(reply: bytes) -> int:
    """Return the index of the interface that an answer to `bridge_ports_request` is about."""
    index: int = _ifinfomsg.unpack_from(reply)[2]
    return index
