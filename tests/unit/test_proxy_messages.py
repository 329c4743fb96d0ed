"""IPVS's netlink messages, byte for byte as <linux/ip_vs.h> has them, and back."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from labkit.fabric.netlink import attribute
from labkit.proxy.ipvs import RealServer, VirtualServer
from labkit.proxy.ipvs_messages import (
    Change,
    Command,
    Traffic,
    attributes,
    decode_real,
    decode_server,
    encode_change,
    encode_timeouts,
    is_ours,
)
from labkit.proxy.ipvs_netlink import packed

SERVER = VirtualServer("10.96.0.10", 80, "TCP", "mh", 0x11, 60, (), "")
REAL = RealServer("10.244.1.2", 8080, 7)
STATS = attribute(12, b"".join(attribute(n, struct.pack("=Q", 10 * n)) for n in range(1, 11)))
TRAFFIC = Traffic(10, 20, 30, 40, 50)


def test_a_virtual_servers_attributes_are_those_of_the_header_file():
    server = attributes(attributes(encode_change(Change(Command.NEW_SERVICE, SERVER)))[1])
    assert server == {
        1: b"\x02\x00",
        2: b"\x06\x00",
        3: bytes([10, 96, 0, 10]) + bytes(12),
        4: b"\x00\x50",
        6: b"mh\0",
        7: struct.pack("=II", 0x11, 0xFFFFFFFF),
        8: struct.pack("=I", 60),
        9: b"\xff\xff\xff\xff",
    }


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_a_virtual_server_is_read_as_it_was_written(protocol):
    server = replace(SERVER, protocol=protocol, port=30080)
    inner = attributes(encode_change(Change(Command.SET_SERVICE, server)))[1]
    answer = attribute(
        1, inner.replace(struct.pack("=II", 0x11, 0xFFFFFFFF), struct.pack("=II", 0x13, 0)) + STATS
    )
    assert is_ours(answer)
    assert decode_server(answer).server == server
    assert decode_server(answer).traffic == TRAFFIC


def test_a_real_server_is_read_as_it_was_written():
    inner = attributes(encode_change(Change(Command.NEW_DEST, SERVER, REAL)))[2]
    counts = attribute(7, struct.pack("=I", 3)) + attribute(8, struct.pack("=I", 4))
    read = decode_real(attribute(2, inner + counts + STATS))
    assert (read.real, read.active, read.inactive, read.traffic) == (REAL, 3, 4, TRAFFIC)


def test_real_servers_are_reached_by_nat():
    inner = attributes(attributes(encode_change(Change(Command.NEW_DEST, SERVER, REAL)))[2])
    assert inner[3] == struct.pack("=I", 0)


def test_servers_by_firewall_mark_and_of_ipv6_are_not_ours():
    marked = attribute(1, attribute(1, b"\x02\x00") + attribute(5, bytes(4)))
    six = attribute(1, attribute(1, b"\x0a\x00") + attribute(2, b"\x06\x00") + attribute(3, bytes(16)))
    assert not is_ours(marked)
    assert not is_ours(six)


def test_timeouts_are_tcp_then_fin_then_udp():
    assert attributes(encode_timeouts((900, 0, 30))) == {
        n: struct.pack("=I", s) for n, s in ((4, 900), (5, 0), (6, 30))
    }


@pytest.mark.parametrize("count", [1, 2, 2000, 5000])
def test_batches_hold_every_change_in_order_and_their_last_messages_ask_for_an_answer(count):
    changes = [Change(Command.NEW_DEST, SERVER, replace(REAL, port=number + 1)) for number in range(count)]
    batches = list(packed(changes, family=33, first=7))
    assert sum(size for size, _ in batches) == count
    expected = iter(enumerate(changes, 7))
    for size, batch in batches:
        messages = list(_split(batch))
        assert len(messages) == size
        for number, (length, family, flags, sequence, _, command, *_) in enumerate(messages, 1):
            wanted, change = next(expected)
            assert (family, sequence, command) == (33, wanted, Command.NEW_DEST)
            assert bool(flags & 0x4) == (number == size)
            assert length == 20 + len(encode_change(change))
            assert encode_change(change) in batch


def _split(batch):
    offset = 0
    while offset < len(batch):
        head = struct.unpack_from("=IHHIIBBH", batch, offset)
        yield head
        offset += head[0]
