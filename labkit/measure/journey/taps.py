"""Taps of a journey: one packet socket for each namespace hears its interfaces and, on nodes, its netlink.

A node gets a virtual interface of kind nlmon, on which every netlink message of the namespace passes: so one
socket receives packets, NFLOG, nft trace and conntrack messages as one stream, in order.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from labkit.errors import LabError, TrafficError
from labkit.fabric import links
from labkit.fabric.netlink import Message, NetfilterSocket, RouteSocket, attribute
from labkit.fabric.sysctl import read_sysctl, write_sysctl
from labkit.measure.journey.netfilterreports import read_netfilter
from labkit.measure.journey.observed import Beaconed, Captured, Frame, IptablesTraced
from labkit.measure.journey.switch import TraceTable, trace_rules
from labkit.measure.journey.tracetable import BEACON_GROUP
from labkit.traffic.packetsocket import TIMESPEC, read_lost, watch_all_interfaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.fabric.namespace import Namespace

BUFFER_BYTES = 16 << 20
ETHERNET_BYTES = 14
_ETHER, _LOOPBACK, _NETLINK = 1, 772, 824  # if_arp.h: ARPHRD_*
_OTHERS, _OUTGOING = 3, 4  # if_packet.h: PACKET_OTHERHOST, PACKET_OUTGOING
_NETLINK_NETFILTER = 12
TRACE_GROUP = 0
NFT_TRACE_GROUP = 9
CONNTRACK_GROUPS = (1, 2, 3)
_LOGGER = "net/netfilter/nf_log/2"
_LOG_CONFIG = 4 << 8 | 1
_NO_LOGGER = "NONE"
_NUMBERED, _WITH_CONNTRACK = 0x1, 0x4


class Tap:
    """The socket of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        """Open it. Raises TrafficError where that is refused."""
        self.namespace = namespace
        self.interfaces: dict[int, str] = {}
        try:
            self._socket = namespace.run(lambda: watch_all_interfaces(BUFFER_BYTES))
        except OSError as error:
            raise TrafficError(
                f"the interfaces of {namespace.name} cannot be watched: {error.strerror}",
                todo="run it in the lab's Linux: labkit exec -- ...",
            ) from error

    def close(self) -> None:
        """Close it. A second call does nothing."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, for select."""
        return self._socket.fileno()

    def captured(self) -> list[Captured]:
        """Return what has come since the last look, in order. TrafficError where anything found no room."""
        found = [captured for captured in self._read() if captured is not None]
        if lost := read_lost(self._socket):
            raise _loss(self.namespace.name, f"{lost} packets and messages")
        return found

    def _read(self) -> Iterator[Captured | None]:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, address = self._socket.recvmsg(1 << 17, 64, socket.MSG_DONTWAIT)
                seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
                yield self._take(data, seconds * 1_000_000_000 + nanoseconds, address)

    def _take(self, data: bytes, time_ns: int, address: tuple[str, int, int, int, bytes]) -> Captured | None:
        device, protocol, kind, hardware, _ = address
        if hardware == _NETLINK:
            is_netfilter = protocol == _NETLINK_NETFILTER
            report = read_netfilter(data, self.interfaces) if is_netfilter else None
            return Captured(time_ns, device, True, len(data), report)  # noqa: FBT003
        leaving = kind == _OUTGOING
        length = len(data) if leaving else len(data) - ETHERNET_BYTES
        # A bridge's port takes frames for others; a place's own interface throws them away (spec/sites.py).
        is_taken = kind != _OTHERS or device != "eth0"
        is_ip = is_taken and data[12:14] == b"\x08\x00" and hardware in {_ETHER, _LOOPBACK}
        return Captured(time_ns, device, leaving, length, Frame(device, leaving, data) if is_ip else None)


class NodeTap(Tap):
    """The tap of a node: also the table of our own, and whatever netfilter reports there."""

    def __init__(
        self, namespace: Namespace, monitor: str, addresses: Sequence[str], *, nft: bool, has_table: bool
    ) -> None:
        """Open everything; `monitor` is what its nlmon interface is to be called.

        `nft`: hear nft trace too; `has_table`: this Linux has nf_tables for a table of our own.

        Raises BuildError or TrafficError where Linux refuses it; nothing is left then.
        """
        self._cleaning = contextlib.ExitStack()
        self._next: dict[type, int] = {Beaconed: 0, IptablesTraced: 0}  # the number of NFLOG's next message
        try:
            self._add_monitor(namespace, monitor)
            super().__init__(namespace)
            self._cleaning.callback(super().close)
            self.interfaces = namespace.run(lambda: dict(socket.if_nameindex()))
            self._listen(addresses, nft=nft, has_table=has_table)
        except BaseException:
            self._cleaning.close()
            raise

    def close(self) -> None:
        """Remove everything. A second call does nothing."""
        self._cleaning.close()

    def _add_monitor(self, namespace: Namespace, name: str) -> None:
        routes = namespace.run(lambda: RouteSocket(namespace.name))
        self._cleaning.callback(routes.close)
        routes.send([links.add_monitor(name)])
        self._cleaning.callback(routes.send, [links.delete_by_name(name)])

    def _listen(self, addresses: Sequence[str], *, nft: bool, has_table: bool) -> None:
        self._heard = [self._netfilter() for _ in range(3)]
        beacons, traces, events = self._heard
        events.join((*CONNTRACK_GROUPS, NFT_TRACE_GROUP) if nft else CONNTRACK_GROUPS)
        traces.send([_log_config(TRACE_GROUP, _NUMBERED)])
        if has_table:
            beacons.send([_log_config(BEACON_GROUP, _NUMBERED | _WITH_CONNTRACK)])
        self._take_logger()
        switch = TraceTable if has_table else trace_rules
        self._cleaning.enter_context(switch(self.namespace, addresses))

    def _netfilter(self) -> NetfilterSocket:
        name = self.namespace.name
        opened = self._cleaning.enter_context(self.namespace.run(lambda: NetfilterSocket(name)))
        opened.make_room(BUFFER_BYTES)
        return opened

    def _take_logger(self) -> None:
        """Have TRACE tell nfnetlink_log, which makes netlink messages of it, until `close`."""
        before = self.namespace.run(lambda: read_sysctl(_LOGGER))
        self._cleaning.callback(self.namespace.run, lambda: write_sysctl(_LOGGER, before or _NO_LOGGER))
        self.namespace.run(lambda: write_sysctl(_LOGGER, "nfnetlink_log"))

    def captured(self) -> list[Captured]:
        """Return what has come since the last look, in order. TrafficError where anything was lost."""
        if any(opened.has_overflowed() for opened in self._heard):
            raise _loss(self.namespace.name, "messages of netfilter")
        found = super().captured()
        for kind in (Beaconed, IptablesTraced):
            numbers = [one.report.number for one in found if isinstance(one.report, kind)]
            if numbers != list(range(self._next[kind], self._next[kind] + len(numbers))):
                raise _loss(self.namespace.name, f"messages of NFLOG ({kind.__name__})")
            self._next[kind] += len(numbers)
        return found


def _loss(where: str, what: str) -> LabError:
    return TrafficError(
        f"a journey lost {what}: it would be incomplete",
        where=where,
        todo="record it again, without other traffic",
    )


def _log_config(group: int, flags: int) -> Message:
    """Return what makes a group of NFLOG report whole packets one by one (nfnetlink_log.h)."""
    head = struct.pack("!BBH", socket.AF_UNSPEC, 0, group)
    bind = attribute(1, struct.pack("!B", 1))
    whole = attribute(2, struct.pack("!IBB", 0xFFFF, 2, 0))
    threshold = attribute(5, struct.pack("!I", 1))
    body = head + bind + whole + threshold + attribute(6, struct.pack("!H", flags))
    return Message(_LOG_CONFIG, 0, body, f"report the packets of NFLOG group {group}")
