"""Netfilter's netlink messages taken apart: NFLOG, nft trace, conntrack events (linux/netfilter/nf*.h)."""

from __future__ import annotations

import re
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from labkit.fabric.netlink import attribute, read_attributes, split_messages
from labkit.measure.journey.events import ConntrackEntry, ConntrackTuple, Hook
from labkit.measure.journey.observed import Beaconed, IptablesTraced, NftTraced, Report, Tracked
from labkit.measure.journey.tracetable import BY_PREFIX, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAMILY_HEAD_BYTES = 4  # nfgenmsg
_LOG_PACKET = 4 << 8
_NFT_TRACE = 10 << 8 | 17
_CONNTRACK_NEW, _CONNTRACK_DELETE = 1 << 8, 1 << 8 | 2
_OWN_TABLE = attribute(1, TABLE.encode() + b"\0")  # nft traces the beacons, too, and names the table first
_NLM_F_CREATE = 0x400
HOOKS: tuple[Hook, ...] = ("prerouting", "input", "forward", "output", "postrouting")
_TRACE = re.compile(r"^TRACE: (?P<table>[^:]+):(?P<chain>.+):(?P<what>rule|return|policy):(?P<rule>\d+) ?$")
_TRACE_KINDS: Mapping[int, Literal["rule", "return", "policy"]] = {1: "policy", 2: "return", 3: "rule"}
_VERDICTS = {
    0: "drop",
    1: "accept",
    3: "queue",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_TCP_STATES = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
]
_STATUS = {1: "SEEN_REPLY", 2: "ASSURED", 3: "CONFIRMED", 4: "SRC_NAT", 5: "DST_NAT"}  # bits
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP"}

Attributes = dict[int, bytes]


def read_netfilter(data: bytes, interfaces: Mapping[int, str]) -> Report | None:
    """Return what a netlink datagram of netfilter's reports; None where it concerns no packet of IPv4's.

    `interfaces` are the namespace's by index.
    """
    for kind, flags, _, body in split_messages(data):
        if kind == _NFT_TRACE and _OWN_TABLE in body[: _FAMILY_HEAD_BYTES + len(_OWN_TABLE)]:
            return None
        attributes = dict(read_attributes(body[_FAMILY_HEAD_BYTES:]))
        if kind == _LOG_PACKET:
            return _read_log(attributes, interfaces)
        if kind == _NFT_TRACE:
            return _read_nft_trace(attributes)
        if kind == _CONNTRACK_NEW:
            return _read_tracked("new" if flags & _NLM_F_CREATE else "update", attributes)
        if kind == _CONNTRACK_DELETE:
            return _read_tracked("destroy", attributes)
    return None


def _read_log(attributes: Attributes, interfaces: Mapping[int, str]) -> Report | None:
    prefix = attributes.get(10, b"").rstrip(b"\0").decode(errors="replace")
    common: dict[str, Any] = {
        "packet": attributes.get(9, b""),
        "mark": _number(attributes.get(2)),
        "in_interface": interfaces.get(_number(attributes.get(4)), ""),
        "out_interface": interfaces.get(_number(attributes.get(5)), ""),
        "number": _number(attributes.get(12)),
    }
    beacon = BY_PREFIX.get(prefix.strip())
    if beacon is not None:
        return Beaconed(beacon=beacon, entry=_entry_in(attributes.get(18, b"")), **common)
    traced = _TRACE.match(prefix)
    if traced is None:
        return None
    what: Any = traced["what"]
    hook = HOOKS[attributes[1][2]]
    return IptablesTraced(traced["table"], traced["chain"], what, int(traced["rule"]), hook, **common)


def _read_nft_trace(attributes: Attributes) -> NftTraced:
    table = _text(attributes.get(1))
    verdict = dict(read_attributes(attributes.get(5, b"")))
    words = _verdict(verdict)
    if 16 in attributes and 5 not in attributes:  # a chain's end: its policy
        words = _VERDICTS.get(_number(attributes[16]), "")
    handle = struct.unpack("!Q", attributes[3])[0] if 3 in attributes else 0
    what = _TRACE_KINDS.get(_number(attributes.get(4)), "rule")
    return NftTraced(
        table,
        _text(attributes.get(2)),
        what,
        handle,
        words,
        mark=_number(attributes.get(14)),
        identity=_number(attributes.get(6)),
        begins=8 in attributes,  # a chain's first message has the packet's header
    )


def _verdict(verdict: Attributes) -> str:
    if 1 not in verdict:
        return ""
    (code,) = struct.unpack("!i", verdict[1])
    return " ".join(filter(None, (_VERDICTS.get(code, str(code)), _text(verdict.get(2)))))


def _read_tracked(change: Literal["new", "update", "destroy"], attributes: Attributes) -> Tracked | None:
    entry = _read_entry(attributes)
    return Tracked(change, entry) if entry else None


@lru_cache(maxsize=256)  # one beacon after the other says the same
def _entry_in(data: bytes) -> ConntrackEntry | None:
    return _read_entry(dict(read_attributes(data)))


def _read_entry(attributes: Attributes) -> ConntrackEntry | None:
    """Return a connection out of ctnetlink's attributes; None for one that is not IPv4's."""
    if 1 not in attributes or 2 not in attributes:
        return None
    original, reply = _read_tuple(attributes[1]), _read_tuple(attributes[2])
    if original is None or reply is None:
        return None
    bits = _number(attributes.get(3))
    status = tuple(name for bit, name in _STATUS.items() if bits >> bit & 1)
    info = dict(read_attributes(attributes.get(4, b"")))
    tcp = dict(read_attributes(info.get(1, b"")))
    state = _TCP_STATES[tcp[1][0]] if 1 in tcp and tcp[1][0] < len(_TCP_STATES) else ""
    return ConntrackEntry(original[0], original[1], reply[1], state, status)


def _read_tuple(data: bytes) -> tuple[str, ConntrackTuple] | None:
    parts = dict(read_attributes(data))
    addresses, protocol = dict(read_attributes(parts.get(1, b""))), dict(read_attributes(parts.get(2, b"")))
    if 1 not in addresses or 2 not in addresses:
        return None
    number = protocol.get(1, b"\0")[0]
    ends = []
    for address, port in ((1, 2), (2, 3)):
        text = socket.inet_ntoa(addresses[address])
        ends.append(f"{text}:{struct.unpack('!H', protocol[port])[0]}" if port in protocol else text)
    return PROTOCOLS.get(number, str(number)), ConntrackTuple(*ends)


def _number(data: bytes | None) -> int:
    return int.from_bytes(data, "big") if data else 0


def _text(data: bytes | None) -> str:
    return data.rstrip(b"\0").decode(errors="replace") if data else ""
