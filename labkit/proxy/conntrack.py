"""Connections of UDP that lead nowhere any more: which they are (pure), and their end.

Connection tracking keeps a UDP flow on its first way for as long as datagrams come: to an endpoint that is
gone, or past a Service that had none. kube-proxy v1.30 (pkg/proxy/conntrack/cleanup.go) deletes such entries
after a sync, never those of TCP. Here it takes one netlink dump (ctnetlink) and one batch of removals,
whatever their number.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.fabric.netlink import Message, NetfilterSocket, RefusedError, attribute, read_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.writers import PortsChange

UDP = 17
_SUBSYSTEM, _GET, _DELETE = 1 << 8, 1, 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_*
_HEAD = struct.Struct("=BBH")  # nfgenmsg
_NESTED = 0x8000
_ORIGINAL, _REPLY, _ID = 1, 2, 12
_IP, _PROTO = 1, 2
_SOURCE_ADDRESS, _DESTINATION_ADDRESS = 1, 2
_NUMBER, _DESTINATION_PORT = 1, 3


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked connection of UDP: where its first datagram was sent, and which address answers.

    `original` and `identity` are what the kernel finds it by.
    """

    destination: str
    port: int
    endpoint: str
    original: bytes
    identity: bytes


@dataclass(frozen=True, slots=True)
class StaleFlows:
    """Which flows of UDP must end.

    All to one of `addresses` or `node_ports`, and those that have been translated: from an address, or from
    a node port, to the address of an endpoint.
    """

    addresses: frozenset[str] = frozenset()
    node_ports: frozenset[int] = frozenset()
    translations: frozenset[tuple[str | int, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.addresses or self.node_ports or self.translations)

    def hold(self, flow: Flow) -> bool:
        """Return whether `flow` is one of them."""
        return (
            flow.destination in self.addresses
            or flow.port in self.node_ports
            or (flow.destination, flow.endpoint) in self.translations
            or (flow.port, flow.endpoint) in self.translations
        )


def plan_stale_flows(changes: Iterable[PortsChange]) -> StaleFlows:
    """Return the flows that `changes` of Services leave without a way to go.

    They are those to the cluster IP of a UDP port that is gone; to any address of one that has its first
    ready endpoint (its datagrams may have been dropped until now, and are remembered so); and those to a
    ready endpoint that is gone, or ready no more.
    """
    addresses: set[str] = set()
    node_ports: set[int] = set()
    translations: set[tuple[str | int, str]] = set()
    for change in changes:
        before, after = _udp_ports(change.before), _udp_ports(change.after)
        addresses.update(port.cluster_ip for name, port in before.items() if name not in after)
        for name, port in after.items():
            former = _ready(before[name]) if name in before else frozenset()
            ready = _ready(port)
            if ready and not former:
                addresses.update(_addresses(port))
                node_ports.update(_node_ports(port))
            ways: tuple[str | int, ...] = (*_addresses(port), *_node_ports(port))
            translations.update((way, endpoint) for endpoint in former - ready for way in ways)
    return StaleFlows(frozenset(addresses), frozenset(node_ports), frozenset(translations))


def delete_flows(namespace: Namespace, stale: StaleFlows) -> int:
    """Delete the connections that are `stale` in the namespace; return how many."""
    if not stale:
        return 0
    with namespace.run(lambda: NetfilterSocket(namespace.name)) as netfilter:
        found = [flow for flow in _flows(netfilter) if stale.hold(flow)]
        try:
            netfilter.send(map(_deletion, found))
        except RefusedError as error:
            if error.errno != errno.ENOENT:  # it has ended by itself
                raise
    return len(found)


def read_flows(namespace: Namespace) -> list[Flow]:
    """Return all tracked connections of UDP over IPv4."""
    with namespace.run(lambda: NetfilterSocket(namespace.name)) as netfilter:
        return list(_flows(netfilter))


def _udp_ports(ports: Iterable[ForwardedPort]) -> dict[str, ForwardedPort]:
    return {port.name: port for port in ports if port.protocol == "UDP"}


def _ready(port: ForwardedPort) -> frozenset[str]:
    return frozenset(one.address for one in port.every if one.ready)


def _addresses(port: ForwardedPort) -> tuple[str, ...]:
    return (port.cluster_ip, *port.external_ips, *port.vips)


def _node_ports(port: ForwardedPort) -> tuple[int, ...]:
    return (port.node_port,) if port.node_port else ()


def _flows(netfilter: NetfilterSocket) -> Iterator[Flow]:
    for body in netfilter.dump(_SUBSYSTEM | _GET, _HEAD.pack(socket.AF_INET, 0, 0)):
        held = dict(read_attributes(body[_HEAD.size :]))
        way, answer = dict(read_attributes(held[_ORIGINAL])), dict(read_attributes(held[_REPLY]))
        proto = dict(read_attributes(way[_PROTO]))
        if proto[_NUMBER][0] == UDP:
            yield Flow(
                destination=_address(way[_IP], _DESTINATION_ADDRESS),
                port=int.from_bytes(proto[_DESTINATION_PORT], "big"),
                endpoint=_address(answer[_IP], _SOURCE_ADDRESS),
                original=held[_ORIGINAL],
                identity=held[_ID],
            )


def _address(addresses: bytes, which: int) -> str:
    return socket.inet_ntoa(dict(read_attributes(addresses))[which])


def _deletion(flow: Flow) -> Message:
    body = _HEAD.pack(socket.AF_INET, 0, 0) + attribute(_ORIGINAL | _NESTED, flow.original)
    body += attribute(_ID, flow.identity)
    return Message(_SUBSYSTEM | _DELETE, 0, body, f"forget a UDP connection to {flow.destination}")
