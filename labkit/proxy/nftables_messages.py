"""Statements on the table `kube-proxy` as netlink messages: pure. Nothing is sent.

What a sync of single Services says can be said here: chains and their rules, elements, affinity sets. For
everything else `UnspokenError` asks for nft. Attribute numbers: <linux/netfilter/nf_tables.h>.
"""

from __future__ import annotations

import re
import socket
import struct
from itertools import count
from typing import TYPE_CHECKING

from labkit.fabric.netlink import NLM_F_CREATE, Message, attribute
from labkit.proxy.nftables_expressions import (
    DATA_VALUE,
    ELEMENT,
    PROTOCOLS,
    Rule,
    UnspokenError,
    compile_rule,
    look_up_choice,
    nested,
    number,
    text,
    verdict,
)
from labkit.proxy.nftables_statements import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.proxy.nftables_statements import Statement

MOST_CHOICES = 400  # an attribute holds 64 KB
SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
NLM_F_APPEND = 0x800
_HEAD = struct.pack("=BBH", socket.AF_INET, 0, 0)  # nfgenmsg
_NEW_CHAIN, _DELETE_CHAIN, _NEW_RULE, _DELETE_RULE, _NEW_SET, _DELETE_SET, _NEW_ELEMENT, _DELETE_ELEMENT = (
    SUBSYSTEM << 8 | kind for kind in (3, 5, 6, 8, 9, 11, 12, 14)
)
_ADDRESS_TYPE, _INTEGER_TYPE, _VERDICT_TYPE = 7, 4, 0xFFFFFF00
_ANONYMOUS, _CONSTANT, _MAP, _TIMEOUT, _EVAL = 0x1, 0x2, 0x8, 0x10, 0x20
_OWN_MAP = "__map%d"  # the kernel numbers it
# What nft notes for itself about a set, to print it back: how its keys are to be read, and that they are a
# numgen's.
_NETWORK_ORDER = bytes.fromhex("000402000000")
_NUMGEN_KEYS = bytes.fromhex("00040100000001040000000004080004010000000100060400000000")
_AFFINITY = re.compile(r"\{ type ipv4_addr ; flags dynamic,timeout ; timeout (\d+)s ; \}")
_ENTRY = re.compile(r'\{ (.+?)(?: comment "(.*)")?(?: : (.+))? \}')


def encode_statements(statements: Sequence[Statement]) -> list[tuple[Message, Statement]]:
    """Return the messages of a transaction, each with the statement that it is a part of.

    Raises UnspokenError where one of them is not written in netlink here.
    """
    identities = count(1)
    return [(message, one) for one in statements for message in _encode(one, identities)]


def _encode(one: Statement, identities: Iterator[int]) -> Iterator[Message]:
    match one.verb, one.kind:
        case "add", "chain" if not one.body:
            yield _message(_NEW_CHAIN, one, number_of=3)
        case "flush", "chain":
            yield _message(_DELETE_RULE, one, number_of=2)
        case "delete", "chain":
            yield _message(_DELETE_CHAIN, one, number_of=3)
        case "add", "rule":
            yield from _new_rule(one, compile_rule(one.body), next(identities))
        case (("add" | "delete"), "element"):
            yield _element(one)
        case "add", "set" if described := _AFFINITY.fullmatch(one.body):
            yield _message(
                _NEW_SET, one, number_of=2, rest=_affinity_set(int(described[1]), next(identities))
            )
        case "delete", "set":
            yield _message(_DELETE_SET, one, number_of=2)
        case _:
            raise UnspokenError(one.line)


def _message(kind: int, one: Statement, *, number_of: int, rest: bytes = b"", flags: int = 0) -> Message:
    """Return a message about what `one` names; that name is attribute `number_of`."""
    creating = NLM_F_CREATE if kind in {_NEW_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENT} else 0
    return Message(
        kind, creating | flags, _HEAD + text(1, TABLE) + text(number_of, one.name) + rest, one.line
    )


def _new_rule(one: Statement, rule: Rule, identity: int) -> Iterator[Message]:
    expressions = list(rule.expressions)
    if rule.choices:
        yield from _own_map(one, rule.choices, identity)
        expressions.append(look_up_choice(_OWN_MAP, identity))
    rest = nested(4, *expressions)
    if rule.comment:
        rest += attribute(7, _comment(rule.comment))
    yield _message(_NEW_RULE, one, number_of=2, rest=rest, flags=NLM_F_APPEND)


def _own_map(one: Statement, choices: Sequence[str], identity: int) -> Iterator[Message]:
    """Yield the map of a rule from numbers to chains, and its elements."""
    if len(choices) > MOST_CHOICES:
        raise UnspokenError(f"{len(choices)} endpoints")
    head = _HEAD + text(1, TABLE) + text(2, _OWN_MAP)
    declared = number(3, _ANONYMOUS | _CONSTANT | _MAP) + number(4, _INTEGER_TYPE) + number(5, 4)
    declared += number(6, _VERDICT_TYPE) + number(7, 0) + number(10, identity)
    declared += nested(9, number(1, len(choices))) + attribute(13, _NUMGEN_KEYS)
    yield Message(_NEW_SET, NLM_F_CREATE, head + declared, one.line)
    elements = [
        nested(ELEMENT, _value(1, struct.pack("=I", place)), nested(2, verdict(("goto", chain))))
        for place, chain in enumerate(choices)
    ]
    yield Message(_NEW_ELEMENT, NLM_F_CREATE, head + number(4, identity) + nested(3, *elements), one.line)


def _element(one: Statement) -> Message:
    entry = _ENTRY.fullmatch(one.body)
    if entry is None:
        raise UnspokenError(one.line)
    key, comment, led = entry.groups()
    element = _value(1, _key(key))
    if led:
        element += nested(2, verdict(led.split()))
    if comment:
        element += attribute(6, _comment(comment))
    kind = _NEW_ELEMENT if one.verb == "add" else _DELETE_ELEMENT
    return _message(kind, one, number_of=2, rest=nested(3, nested(ELEMENT, element)))


def _key(words: str) -> bytes:
    """Return a key: each part of a concatenation fills four bytes."""
    return b"".join(_part(word).ljust(4, b"\0") for word in words.split(" . "))


def _part(word: str) -> bytes:
    if word in PROTOCOLS:
        return bytes((PROTOCOLS[word],))
    if word.isdigit():
        return struct.pack(">H", int(word))
    try:
        return socket.inet_pton(socket.AF_INET, word)
    except OSError as error:
        raise UnspokenError(word) from error


def _affinity_set(timeout_s: int, identity: int) -> bytes:
    described = number(3, _EVAL | _TIMEOUT) + number(4, _ADDRESS_TYPE) + number(5, 4) + number(10, identity)
    return described + attribute(11, struct.pack(">Q", timeout_s * 1000)) + attribute(13, _NETWORK_ORDER)


def _value(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(DATA_VALUE, value))


def _comment(words: str) -> bytes:
    said = words.encode() + b"\0"
    return bytes((0, len(said))) + said
