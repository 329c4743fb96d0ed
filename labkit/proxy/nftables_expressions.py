"""nftables rules as the kernel takes them: the text of a Service's rules to expressions. Pure.

Attribute numbers: <linux/netfilter/nf_tables.h>. Every rule becomes the expressions that nft itself makes
of it (`nft --debug=netlink`), so that nft prints it back in the same words.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from labkit.fabric.netlink import attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NESTED = 0x8000
ELEMENT, DATA_VALUE, DATA_VERDICT = 1, 1, 2
VERDICT_REGISTER = 0
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_FIRST, _SECOND = 1, 2  # the registers that nft uses
_NETWORK, _TRANSPORT = 1, 2
_OFFSETS = {"saddr": 12, "daddr": 16}
_EQUAL, _UNEQUAL = 0, 1
_L4PROTO = 16
_RANDOM = 1
_DNAT, _WITH_PORT = 1, 2
_ADDRESS_TYPE, _OF_SOURCE = 3, 1
_LOCAL = struct.pack("=I", 2)  # RTN_LOCAL
_UPDATE = 1
_CODES = {"drop": 0, "jump": -3, "goto": -4}


class UnspokenError(Exception):
    """A statement that is not written in netlink here: nft itself has to."""


@dataclass(slots=True)
class Rule:
    """A rule's expressions. `choices` are the chains of its own map, in the order of their numbers."""

    expressions: list[bytes] = field(default_factory=list)
    choices: tuple[str, ...] = ()
    comment: str = ""


def number(kind: int, value: int) -> bytes:
    """Return an attribute that holds a 32-bit number."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def verdict(words: Sequence[str]) -> bytes:
    """Return the data of a verdict: `drop`, `goto CHAIN` or `jump CHAIN`."""
    if not words or words[0] not in _CODES or len(words) != (1 if words[0] == "drop" else 2):
        raise UnspokenError(" ".join(words))
    return nested(DATA_VERDICT, number(1, _CODES[words[0]]), *(text(2, chain) for chain in words[1:]))


def compile_rule(body: str) -> Rule:
    """Return a rule as expressions. Raises UnspokenError for one that is of no kind known here."""
    rule = Rule()
    body, _, comment = body.partition(' comment "')
    rule.comment = comment.removesuffix('"')
    words = body.split()
    while words:
        words = words[_compile_first(words, rule) :]
    return rule


def _compile_first(words: list[str], rule: Rule) -> int:
    """Add the expressions of a rule's first part, and return how many words it had."""
    match words:
        case ["ip", ("saddr" | "daddr") as side, "!=", value, *_] if value != "{":
            made, length = _match_address(_OFFSETS[side], value, _UNEQUAL), 4
        case ["ip", ("saddr" | "daddr") as side, value, *_] if value[0] not in "!{":
            made, length = _match_address(_OFFSETS[side], value, _EQUAL), 3
        case [("tcp" | "udp" | "sctp") as protocol, "dport", port, *_]:
            to_port = [_payload(_TRANSPORT, 2, 2), _compare(struct.pack(">H", int(port)))]
            made, length = [*_match_protocol(protocol), *to_port], 3
        case ["meta", "l4proto", protocol, *_]:
            made, length = _match_protocol(protocol), 3
        case ["fib", "saddr", "type", "local", *_]:
            made, length = _match_local_source(), 4
        case ["update", name, "{", "ip", "saddr", "}", *_]:
            made, length = _remember_source(name[1:]), 6
        case ["dnat", "to", endpoint]:
            made, length = _translate(endpoint), 3
        case ["numgen", "random", "mod", count, "vmap", "{", *choices, "}"]:
            rule.choices = tuple(_chosen(choices))
            made, length = [_random_below(int(count))], len(words)
        case [("jump" | "goto" | "drop"), *_]:
            taken = number(1, VERDICT_REGISTER) + nested(2, verdict(words))
            made, length = [_expression("immediate", taken)], len(words)
        case _:
            raise UnspokenError(" ".join(words))
    rule.expressions += made
    return length


def look_up_choice(name: str, identity: int) -> bytes:
    """Return the expression that takes the verdict from a rule's own map."""
    return _expression(
        "lookup", text(1, name) + number(2, _FIRST) + number(3, VERDICT_REGISTER) + number(4, identity)
    )


def _chosen(words: Sequence[str]) -> Iterator[str]:
    for place, part in enumerate(" ".join(words).split(" , ")):
        match part.split():
            case [key, ":", "goto", chain] if key == str(place):
                yield chain
            case _:
                raise UnspokenError(part)


def _expression(name: str, data: bytes) -> bytes:
    return nested(ELEMENT, text(1, name), attribute(2 | NESTED, data))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", number(1, _FIRST) + number(2, base) + number(3, offset) + number(4, length))


def _compare(value: bytes, operator: int = _EQUAL) -> bytes:
    return _expression(
        "cmp", number(1, _FIRST) + number(2, operator) + nested(3, attribute(DATA_VALUE, value))
    )


def _immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", number(1, register) + nested(2, attribute(DATA_VALUE, value)))


def _match_protocol(protocol: str) -> list[bytes]:
    if protocol not in PROTOCOLS:
        raise UnspokenError(protocol)
    loaded = _expression("meta", number(2, _L4PROTO) + number(1, _FIRST))
    return [loaded, _compare(bytes((PROTOCOLS[protocol],)))]


def _match_address(offset: int, value: str, operator: int) -> list[bytes]:
    if value.startswith("@"):
        found = _expression("lookup", text(1, value[1:]) + number(2, _FIRST))
        return [_payload(_NETWORK, offset, 4), found]
    network = IPv4Network(value)
    whole, rest = divmod(network.prefixlen, 8)
    if not network.prefixlen:
        raise UnspokenError(value)
    if not rest:  # of a whole number of bytes only these are loaded
        prefix = network.network_address.packed[:whole]
        return [_payload(_NETWORK, offset, whole), _compare(prefix, operator)]
    zero, mask = bytes(4), network.netmask.packed
    masked = number(1, _FIRST) + number(2, _FIRST) + number(3, 4)
    masked += nested(4, attribute(DATA_VALUE, mask)) + nested(5, attribute(DATA_VALUE, zero))
    return [
        _payload(_NETWORK, offset, 4),
        _expression("bitwise", masked),
        _compare(network.network_address.packed, operator),
    ]


def _match_local_source() -> list[bytes]:
    looked_up = number(1, _FIRST) + number(2, _ADDRESS_TYPE) + number(3, _OF_SOURCE)
    return [_expression("fib", looked_up), _compare(_LOCAL)]


def _remember_source(name: str) -> list[bytes]:
    updated = text(1, name) + number(3, _UPDATE) + number(4, _FIRST)
    return [_payload(_NETWORK, _OFFSETS["saddr"], 4), _expression("dynset", updated)]


def _random_below(count: int) -> bytes:
    return _expression("numgen", number(1, _FIRST) + number(2, count) + number(3, _RANDOM))


def _translate(endpoint: str) -> list[bytes]:
    address, _, port = endpoint.partition(":")
    to_endpoint = number(1, _DNAT) + number(2, socket.AF_INET) + number(3, _FIRST) + number(5, _SECOND)
    return [
        _immediate(_FIRST, socket.inet_aton(address)),
        _immediate(_SECOND, struct.pack(">H", int(port))),
        _expression("nat", to_endpoint + number(7, _WITH_PORT)),
    ]
