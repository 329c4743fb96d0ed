"""The parts that put a journey together, without any network: formats, orders, packets, rules."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import TrafficError
from labkit.measure.journey.connection import find_wires
from labkit.measure.journey.events import ConntrackEntry, ConntrackTuple
from labkit.measure.journey.joining import ENTERING, LEAVING, join_by_time, join_by_trace
from labkit.measure.journey.observed import Captured, Frame, Observed, Tracked
from labkit.measure.journey.packets import identify_all
from labkit.measure.journey.rulebook import parse_iptables, parse_nftables, show_rules, verdict_of
from labkit.measure.journey.ruletelling import _nft_verdict
from labkit.measure.journey.spine import SpineEvent, parse_format, read_page
from labkit.measure.journey.walk import Walk
from labkit.measure.journey.wire import Wire, read_packet

FORMAT = """name: fib_table_lookup
ID: 282
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int err;	offset:12;	size:4;	signed:1;
	field:__u8 src[4];	offset:28;	size:4;	signed:0;
	field:char name[16];	offset:60;	size:16;	signed:0;
	field:__data_loc char[] msg;	offset:76;	size:4;	signed:0;

print fmt: "table"
"""
SAVED = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-X
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
"""
LISTED = """table ip kube-proxy { # handle 2
	map service-ips { # handle 50
		type ipv4_addr . inet_proto . inet_service : verdict
	}

	chain nat-prerouting { # handle 14
		type nat hook prerouting priority dstnat; policy accept;
		jump services # handle 28
	}

	chain endpoint-X { # handle 54
		ip saddr 10.244.1.2 jump mark-for-masquerade # handle 65
		meta l4proto tcp dnat to 10.244.1.2:8080 # handle 66
	}
}
table ip labkit-journey { # handle 3
	chain switch { # handle 1
		ip daddr @addresses meta nftrace set 1 # handle 2
	}
}
"""


def tcp(source, destination, *, flags=0x02, sequence=7, port=40000, to=80, data=b""):
    ends = bytes(map(int, (*source.split("."), *destination.split("."))))
    length = 40 + len(data)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 64, 6, 0) + ends
    return head + struct.pack("!HHIIBBHHH", port, to, sequence, 0, 5 << 4, flags, 1000, 0, 0) + data


def frame(data, *, leaving=True, interface="eth0"):
    return Frame(interface, leaving, bytes(12) + b"\x08\x00" + data)


def test_a_format_tells_how_an_event_lies_in_the_ring():
    layout = parse_format(FORMAT)
    data = bytearray(100)
    struct.pack_into("=i", data, 12, -113)
    data[28:32] = bytes([10, 244, 1, 2])
    data[60:65] = b"cni0\0"
    struct.pack_into("=I", data, 76, 5 << 16 | 80)
    data[80:85] = b"said\0"
    assert (layout.name, layout.number) == ("fib_table_lookup", 282)
    assert layout.read(bytes(data)) == {
        "err": -113,
        "src": bytes([10, 244, 1, 2]),
        "name": "cni0",
        "msg": "said",
    }


@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=4, max_size=200)), max_size=20))
def test_a_page_of_the_ring_is_read_as_the_kernel_writes_it(events):
    page, time_ns, written = b"", 1000, []
    for delta, body in events:
        data = body + bytes(-len(body) % 4)
        if delta >= 1 << 27:
            page += struct.pack("=II", (delta & (1 << 27) - 1) << 5 | 30, delta >> 27)
            delta_here = 0
        else:
            delta_here = delta
        if len(data) <= 112:
            page += struct.pack("=I", delta_here << 5 | len(data) // 4) + data
        else:
            page += struct.pack("=II", delta_here << 5, len(data) + 4) + data
        time_ns += delta
        written.append((time_ns, data))
    assert list(read_page(struct.pack("=QQ", 1000, len(page)) + page + bytes(8))) == written


places = st.sampled_from([("client", "eth0"), ("node-1", "eth0"), ("node-1", "cni0"), ("pod", "eth0")])
hops = st.lists(st.tuples(places, st.integers(74, 75), st.booleans()), max_size=20)


@given(hops=hops)
def test_streams_come_together_in_the_order_of_the_trace_without_any_stamps(hops):
    """All stamps are equal, as in virtual time; some events are of a namespace without a tap."""
    streams, trace = {"client": [], "node-1": [], "pod": []}, []
    for number, ((namespace, device), length, has_tap) in enumerate(hops):
        one = Captured(5, device, True, length, frame(bytes([number]), interface=device))
        streams[namespace] += [one] if has_tap else []
        trace.append(SpineEvent(LEAVING, number, {"name": device, "len": length, "skbaddr": number}))
    joined = [one for one in join_by_trace(streams, trace, {}) if isinstance(one.what, Frame)]
    for namespace, stream in streams.items():
        assert [one.what for one in joined if one.namespace == namespace] == [one.report for one in stream]


def test_a_packet_is_followed_over_a_link_where_both_ends_look_alike():
    same = {"name": "eth0", "len": 60, "skbaddr": 1}
    trace = [SpineEvent(LEAVING, 1, {**same, "len": 74}), SpineEvent(ENTERING, 1, same)]
    left, entered, other = (frame(b"", leaving=leaving) for leaving in (True, False, False))
    streams = {
        "far": [Captured(0, "eth0", False, 60, other)],
        "client": [Captured(0, "eth0", True, 74, left)],
        "pod": [Captured(0, "eth0", False, 60, entered)],
    }
    peers = {("client", "eth0"): ("pod", "eth0"), ("pod", "eth0"): ("client", "eth0")}
    with pytest.raises(TrafficError, match="no place in the kernel's trace"):
        list(join_by_trace(streams, trace, peers))
    del streams["far"]
    joined = [one.namespace for one in join_by_trace(streams, trace, peers) if isinstance(one.what, Frame)]
    assert joined == ["client", "pod"]


@given(st.lists(st.lists(st.integers(0, 5)), max_size=4))
def test_by_time_each_stream_keeps_its_own_order(stamps):
    streams = {
        str(at): [Captured(max(each[: n + 1]), "eth0", True, 1, frame(bytes([n]))) for n in range(len(each))]
        for at, each in enumerate(stamps)
    }
    joined = list(join_by_time(streams))
    assert [one.time_ns for one in joined] == sorted(one.time_ns for one in joined)
    for name, stream in streams.items():
        assert [one.what for one in joined if one.namespace == name] == [one.report for one in stream]


@given(st.integers(0, 2**32 - 1), st.binary(max_size=60), st.sampled_from(["10.0.0.1", "10.244.1.2"]))
def test_translation_changes_nothing_of_what_a_packet_is_known_by(sequence, data, destination):
    before = read_packet(tcp("10.1.1.1", "10.96.0.10", sequence=sequence, data=data))
    after = read_packet(tcp("172.18.0.2", destination, port=7, to=8080, sequence=sequence, data=data))
    assert before.known_by == after.known_by
    assert before.headers != after.headers


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(data):
    read_packet(data)


ENTRY = ConntrackEntry(
    "TCP",
    ConntrackTuple("10.1.1.1:40000", "10.96.0.10:80"),
    ConntrackTuple("10.244.1.2:8080", "172.18.0.2:5000"),
    "",
    (),
)


def test_a_connections_wires_are_found_over_a_chain_of_translations():
    first = Wire("TCP", "10.1.1.1:40000", "10.96.0.10:80")
    further = ConntrackEntry(
        "TCP",
        ConntrackTuple("172.18.0.2:5000", "10.244.1.2:8080"),
        ConntrackTuple("10.9.9.9:1", "172.18.0.2:5000"),
        "",
        (),
    )
    observed = [Observed(0, "node", Tracked("new", entry)) for entry in (further, ENTRY)]
    wires = find_wires(observed, first)
    assert wires[Wire("TCP", "172.18.0.2:5000", "10.244.1.2:8080")] == "request"
    assert wires[Wire("TCP", "10.9.9.9:1", "172.18.0.2:5000")] == "reply"
    assert wires[first.reversed] == "reply"


def test_a_packet_sent_again_is_a_new_one_and_another_place_is_not():
    syn, again = frame(tcp("10.1.1.1", "10.96.0.10")), frame(tcp("10.1.1.1", "10.96.0.10"))
    seen = [
        Observed(0, "client", syn),
        Observed(0, "node", frame(tcp("10.1.1.1", "10.96.0.10"), leaving=False)),
    ]
    wires = find_wires([], Wire("TCP", "10.1.1.1:40000", "10.96.0.10:80"))
    packets, sightings = identify_all([*seen, Observed(9, "client", again)], wires)
    assert [one.packet.number for one in sightings] == [1, 1, 2]
    assert [packet.what for packet in packets] == ["SYN", "SYN"]


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-A A -j KUBE-SERVICES", "jump KUBE-SERVICES"),
        ("-A A -g ELSEWHERE", "goto ELSEWHERE"),
        ("-A A -p tcp -j DNAT --to-destination 10.1.1.1:80", "DNAT to 10.1.1.1:80"),
        ("-A A -j MASQUERADE --random-fully", "MASQUERADE"),
        ("-A A -j MARK --set-xmark 0x4000/0x4000", "MARK --set-xmark 0x4000/0x4000"),
        ("-A A -j REJECT --reject-with icmp-port-unreachable", "REJECT"),
        ('-A A -m comment --comment "only counts"', "continue"),
    ],
)
def test_what_an_iptables_rule_does(rule, verdict):
    assert verdict_of(rule) == verdict


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("meta l4proto tcp dnat to 10.244.1.2:8080", "DNAT to 10.244.1.2:8080"),
        ("masquerade fully-random", "MASQUERADE"),
        ("ip saddr 10.244.1.2 jump mark-for-masquerade", "jump x"),
        ("goto reject-chain", "jump x"),
        ("ip daddr @cluster-ips reject", "REJECT"),
    ],
)
def test_what_an_nft_rule_does(rule, verdict):
    assert _nft_verdict(rule, "jump x") == verdict


def test_rules_are_numbered_within_their_chains():
    book = parse_iptables(SAVED)
    assert book.rule("nat", "KUBE-SERVICES", 2).text.endswith("-j KUBE-NODEPORTS")
    assert book.rule("nat", "KUBE-SERVICES", 3) is None
    assert book.policies["nat", "PREROUTING"] == "ACCEPT"


def test_nft_rules_go_by_handle_and_a_journeys_own_table_is_not_among_them():
    book = parse_nftables(LISTED)
    assert book.by_handle("kube-proxy", "endpoint-X", 66).number == 2
    assert book.hooks == {("kube-proxy", "nat-prerouting"): "prerouting"}
    assert {table for table, _ in book.chains} == {"kube-proxy"}


def test_of_a_chain_of_thousands_only_what_is_around_the_rule_is_shown():
    lines = "\n".join(f"-A KUBE-SERVICES -d 10.96.0.{n % 250} -j X{n}" for n in range(1, 10_001))
    book = parse_iptables(f"*nat\n:KUBE-SERVICES - [0:0]\n{lines}\nCOMMIT\n")
    ruleset, places = show_rules("node-1", book, {("nat", "KUBE-SERVICES"): {9000}})
    line = places["nat", "KUBE-SERVICES", 9000]
    shown = ruleset.text.splitlines()
    assert shown[line - 1].endswith("-j X9000")
    assert len(shown) < 20
    assert "# (8,996 more rules)" in shown


def test_a_walk_counts_what_was_compared_between_matches():
    walk = Walk()
    chain = ("nat", "KUBE-SERVICES")
    assert walk.match(chain, 10_000) == 9_999
    assert walk.match(chain, 10_003) == 2
    assert walk.end(chain, 10_010) == 7
    walk.enter(*chain)
    assert walk.match(chain, 1) == 0
