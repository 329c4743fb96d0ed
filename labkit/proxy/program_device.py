"""kube-ipvs0: the dummy device whose addresses make a node accept traffic to its Services.

It is never brought up: an address counts as local on a device that is down as well, and nothing answers ARP
through it.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from labkit.fabric import links
from labkit.fabric.netlink import Message, RouteSocket, attribute, read_attributes
from labkit.proxy.ipvs import DEVICE
from labkit.spec.addressplan import Address, Interface

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.fabric.namespace import Namespace

RTM_GETADDR = 22
IFA_LOCAL = 2
_ADDRESS_HEAD = 8
_LINK_HEAD = 16
_INDEX = struct.Struct("=I")


def has_device(namespace: Namespace) -> bool:
    """Return whether the namespace has a kube-ipvs0."""
    return namespace.run(_device_index) != 0


def apply_addresses(namespace: Namespace, addresses: Iterable[str]) -> int:
    """Make kube-ipvs0 if there is none, give it these addresses and no others, return how many changed.

    lo is brought up.

    Raises BuildError where the guest refuses one.
    """
    with namespace.run(lambda: RouteSocket(namespace.name)) as route:
        route.send([links.set_up("lo", links.LOOPBACK_INDEX)])  # IPVS takes no real server while it is down
        index = namespace.run(_device_index)
        if not index:
            route.send([_add_device()])
            index = namespace.run(_device_index)
        wanted = dict.fromkeys(addresses)
        held = dict.fromkeys(_addresses_of(route, index))
        gone = [one for one in held if one not in wanted]
        return _send_changes(route, index, [one for one in wanted if one not in held], gone)


def change_addresses(namespace: Namespace, new: Sequence[str], gone: Sequence[str]) -> int:
    """Bind the `new` addresses on kube-ipvs0, release those that are `gone`, return how many changed.

    Raises BuildError where the guest refuses one.
    """
    with namespace.run(lambda: RouteSocket(namespace.name)) as route:
        return _send_changes(route, namespace.run(_device_index), new, gone)


def _send_changes(route: RouteSocket, index: int, new: Sequence[str], gone: Sequence[str]) -> int:
    interface = Interface(DEVICE, index, "")
    added = [links.add_address(Address(interface, one, 32)) for one in new]
    removed = [links.delete_address(Address(interface, one, 32)) for one in gone]
    route.send([*added, *removed])
    return len(added) + len(removed)


def delete_device(namespace: Namespace) -> int:
    """Remove kube-ipvs0 with its addresses; return how many there were, 1 or 0."""
    index = namespace.run(_device_index)
    if not index:
        return 0
    with namespace.run(lambda: RouteSocket(namespace.name)) as route:
        route.send([links.delete_link(DEVICE, index)])
    return 1


def read_bound_addresses(namespace: Namespace) -> tuple[str, ...]:
    """Return the addresses on kube-ipvs0, in the order in which they were added."""
    index = namespace.run(_device_index)
    with namespace.run(lambda: RouteSocket(namespace.name)) as route:
        return _addresses_of(route, index) if index else ()


def read_node_addresses(namespace: Namespace) -> tuple[str, ...]:
    """Return the namespace's own IPv4 addresses: all but loopback's and those on kube-ipvs0."""
    left_out = {links.LOOPBACK_INDEX, namespace.run(_device_index)}
    with namespace.run(lambda: RouteSocket(namespace.name)) as route:
        return tuple(address for index, address in _addresses(route) if index not in left_out)


def _device_index() -> int:
    # Not if_nametoindex: for a name that is not there the guest starts modprobe, each time for 0.1 s.
    return next((index for index, name in socket.if_nameindex() if name == DEVICE), 0)


def _add_device() -> Message:
    kind = attribute(links.IFLA_INFO_KIND, b"dummy")
    body = bytes(_LINK_HEAD) + attribute(links.IFLA_IFNAME, DEVICE.encode() + b"\0")
    body += attribute(links.IFLA_LINKINFO | links.NESTED, kind)
    return Message(links.RTM_NEWLINK, links.CREATE, body, f"make the dummy interface {DEVICE}")


def _addresses_of(route: RouteSocket, index: int) -> tuple[str, ...]:
    return tuple(address for one, address in _addresses(route) if one == index)


def _addresses(route: RouteSocket) -> list[tuple[int, str]]:
    """Return (interface index, address) of every IPv4 address."""
    found = []
    for body in route.dump(RTM_GETADDR, bytes((socket.AF_INET, 0, 0, 0, 0, 0, 0, 0))):
        (index,) = _INDEX.unpack_from(body, 4)
        held = dict(read_attributes(body[_ADDRESS_HEAD:]))
        found.append((index, socket.inet_ntoa(held[IFA_LOCAL])))
    return found
