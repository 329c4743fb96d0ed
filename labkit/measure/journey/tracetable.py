"""The table of our own on a node: it switches tracing on, and has beacons between the hooks.

A table with an owner is the kernel's to remove: it goes when the socket that made it is closed, however its
process ends (nf_tables.h, NFT_TABLE_F_OWNER). The bit that `meta nftrace set 1` sets is on the packet, so
legacy iptables' TRACE, iptables-nft and nft report from then on; kube-proxy's tables stay untouched. A beacon
is one `log` rule at a priority between two of the kernel's own steps: it reports headers, mark and conntrack
entry as they are there.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.fabric.netlink import NLM_F_CREATE, Message, attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labkit.measure.journey.events import Hook

TABLE = "labkit-journey"
BEACON_GROUP = 1
PREFIX = "labkit "
SWITCH_PRIORITY = -400  # before raw, and before conntrack: nothing has been asked yet

_HOOKS: tuple[Hook, ...] = ("prerouting", "input", "forward", "output", "postrouting")  # NF_INET_*, in order
_NFT = 10 << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENT = 0, 3, 6, 9, 12
_OWNER = 0x2
_NESTED = 0x8000
_HEAD = struct.Struct("=BBH")
_REGISTER, _NETWORK, _SOURCE_AT, _DESTINATION_AT = 1, 1, 12, 16
_META_NFTRACE = 12
_IPV4_ADDRESS = 7  # nft's own number for the type; the kernel only keeps it for `nft list`
_SET = "addresses"


@dataclass(frozen=True, slots=True)
class Beacon:
    """A place between two steps of netfilter: after `after`, at this hook."""

    hook: Hook
    priority: int
    after: str

    @property
    def prefix(self) -> str:
        """What the beacon's messages begin with."""
        return f"{PREFIX}{self.hook} {self.priority}"


BEACONS = (
    Beacon("prerouting", -310, "arrived"),
    Beacon("prerouting", -199, "conntrack"),
    Beacon("prerouting", -99, "nat PREROUTING"),
    Beacon("input", -1, "routing: for this node"),
    Beacon("input", 97, "filter INPUT"),
    Beacon("input", 101, "where IPVS and conntrack take answers"),
    Beacon("forward", -1, "routing: to be forwarded"),
    Beacon("forward", 1, "filter FORWARD"),
    Beacon("forward", 101, "where IPVS takes answers"),
    Beacon("output", -310, "made here"),
    Beacon("output", -199, "conntrack"),
    Beacon("output", -99, "nat OUTPUT"),
    Beacon("output", 4, "filter OUTPUT"),
    Beacon("postrouting", 90, "before nat POSTROUTING"),
    Beacon("postrouting", 101, "nat POSTROUTING"),
)
BY_PREFIX = {beacon.prefix: beacon for beacon in BEACONS}


def plan_trace_table(addresses: Sequence[str]) -> Iterator[Message]:
    """Yield one transaction: the table, for IPv4 packets from or to one of `addresses`."""
    yield _message(_NEW_TABLE, _text(1, TABLE) + _number(2, _OWNER), "make its trace table")
    yield from _address_set(addresses)
    for hook in ("prerouting", "output"):
        name = f"switch {hook}".replace(" ", "-")
        yield from _chain(name, hook, SWITCH_PRIORITY, [_immediate(b"\1"), _set_meta(_META_NFTRACE)])
    for beacon in BEACONS:
        name = f"{beacon.hook}-{beacon.priority}".replace("--", "-before-")
        yield from _chain(name, beacon.hook, beacon.priority, [_log(beacon.prefix)])


def _address_set(addresses: Sequence[str]) -> Iterator[Message]:
    head = _text(1, TABLE) + _text(2, _SET)
    key = _number(4, _IPV4_ADDRESS) + _number(5, 4)
    yield _message(_NEW_SET, head + key + _number(10, 1), "make its set of addresses")
    elements = b"".join(
        attribute(1 | _NESTED, attribute(1 | _NESTED, attribute(1, socket.inet_aton(address))))
        for address in addresses
    )
    yield _message(_NEW_ELEMENT, head + attribute(3 | _NESTED, elements), "fill its set of addresses")


def _chain(name: str, hook: Hook, priority: int, then: Iterable[bytes]) -> Iterator[Message]:
    """Yield a base chain and its two rules: from one of the addresses, and else to one of them."""
    place = _number(1, _HOOKS.index(hook)) + attribute(2, struct.pack("!i", priority))
    head = _text(1, TABLE)
    body = head + _text(3, name) + attribute(4 | _NESTED, place) + _text(7, "filter") + _number(5, 1)
    yield _message(_NEW_CHAIN, body, f"make its chain {name}")
    accept = _expression("immediate", _number(1, 0) + _verdict_accept())
    for at in (_SOURCE_AT, _DESTINATION_AT):
        expressions = b"".join([_load(at), _look_up(), *then, accept])
        rule = head + _text(2, name) + attribute(4 | _NESTED, expressions)
        yield _message(_NEW_RULE, rule, f"make a rule of its chain {name}")


def _message(kind: int, body: bytes, what: str) -> Message:
    return Message(_NFT | kind, NLM_F_CREATE, _HEAD.pack(socket.AF_INET, 0, 0) + body, what)


def _text(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return attribute(kind, struct.pack("!I", number))


def _expression(name: str, data: bytes) -> bytes:
    return attribute(1 | _NESTED, _text(1, name) + attribute(2 | _NESTED, data))


def _load(at: int) -> bytes:
    return _expression(
        "payload", _number(1, _REGISTER) + _number(2, _NETWORK) + _number(3, at) + _number(4, 4)
    )


def _look_up() -> bytes:
    return _expression("lookup", _text(1, _SET) + _number(2, _REGISTER))


def _immediate(value: bytes) -> bytes:
    return _expression("immediate", _number(1, _REGISTER) + attribute(2 | _NESTED, attribute(1, value)))


def _set_meta(key: int) -> bytes:
    return _expression("meta", _number(2, key) + _number(3, _REGISTER))


def _verdict_accept() -> bytes:
    return attribute(2 | _NESTED, attribute(2 | _NESTED, _number(1, 1)))  # NF_ACCEPT


def _log(prefix: str) -> bytes:
    group, threshold = struct.pack("!H", BEACON_GROUP), struct.pack("!H", 1)
    return _expression(
        "log", attribute(1, group) + _text(2, prefix) + _number(3, 128) + attribute(4, threshold)
    )
