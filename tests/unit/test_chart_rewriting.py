from dataclasses import replace

from labkit.chart.rewriting import Rewriting, rewriting_rows, rewriting_table
from labkit.traffic.capture import SeenPacket
from labkit.traffic.packets import FollowedConnection

CLIENT, VIP, NODE, POD = "192.0.2.10:40001", "10.96.0.10:80", "10.244.0.1:23456", "10.244.1.5:8080"


def seen(where, source, destination, flags, *, sequence=0, payload=b"", protocol="TCP"):
    return SeenPacket(where, 0.0, protocol, source, destination, flags, sequence, 64, payload)


def twins(client_side, pod_side, flags, **more):
    return seen("client", *client_side, flags, **more), seen("default/web-1", *pod_side, flags, **more)


THERE = ((CLIENT, VIP), (NODE, POD))
BACK = ((VIP, CLIENT), (POD, NODE))


def test_each_packet_stands_beside_its_rewritten_twin():
    syn, syn_ack = twins(*THERE, "S", sequence=1), twins(*BACK, "SA", sequence=9)[::-1]
    request = twins(*THERE, "PA", sequence=2, payload=b"who?")
    rows = rewriting_rows(FollowedConnection(None, (*syn, *syn_ack, *request)))
    assert rows == (
        Rewriting("SYN", f"{CLIENT} → {VIP}", f"{NODE} → {POD}"),
        Rewriting("SYN, ACK", f"{VIP} → {CLIENT}", f"{POD} → {NODE}"),
        Rewriting("PSH, ACK, 4 bytes", f"{CLIENT} → {VIP}", f"{NODE} → {POD}"),
    )
    assert rewriting_table(rows).rows[0] == ("SYN", f"{CLIENT} → {VIP}", f"{NODE} → {POD}")


def test_twins_are_found_where_the_client_s_address_is_kept():
    syn = twins((CLIENT, VIP), (CLIENT, POD), "S", sequence=1)
    answer = twins((VIP, CLIENT), (POD, CLIENT), "SA", sequence=1)[::-1]
    rows = rewriting_rows(FollowedConnection(None, (*syn, *answer)))
    assert [row.pod_side for row in rows] == [f"{CLIENT} → {POD}", f"{POD} → {CLIENT}"]


def test_acknowledgements_of_both_ways_are_not_mixed_up():
    acks = (*twins(*THERE, "A", sequence=5), *twins(*BACK, "A", sequence=5)[::-1])
    rows = rewriting_rows(FollowedConnection(None, (*twins(*THERE, "S"), *acks)))
    assert [row.pod_side for row in rows[1:]] == [f"{NODE} → {POD}", f"{POD} → {NODE}"]


def test_a_packet_without_twin_says_so():
    syn, _ = twins(*THERE, "S")
    reset = seen("client", VIP, CLIENT, "RA")
    assert [row.pod_side for row in rewriting_rows(FollowedConnection(None, (syn, reset)))] == [
        "not seen"
    ] * 2
    stray = seen("default/web-1", POD, "10.244.0.9:1", "R")
    rows = rewriting_rows(FollowedConnection(None, (*twins(*THERE, "S"), stray)))
    assert rows[-1] == Rewriting("RST", "not seen", f"{POD} → 10.244.0.9:1")


def test_datagrams_are_named_by_their_protocol():
    pair = twins(*THERE, "", protocol="UDP", payload=b"ab")
    rows = rewriting_rows(FollowedConnection(None, tuple(replace(packet) for packet in pair)))
    assert rows == (Rewriting("UDP, 2 bytes", f"{CLIENT} → {VIP}", f"{NODE} → {POD}"),)


def test_nothing_followed_is_nothing_to_show():
    assert rewriting_rows(FollowedConnection(None, ())) == ()
