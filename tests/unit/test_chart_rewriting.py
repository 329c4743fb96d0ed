from labkit.chart.rewriting import Rewriting, show_rewriting
from labkit.traffic.capture import SeenPacket
from labkit.traffic.flow import FlowOutcome
from labkit.traffic.packets import FollowedConnection

CLIENT, VIP, NODE, POD = "192.0.2.10:40001", "10.96.0.10:80", "10.244.0.1:23456", "10.244.1.5:8080"
NAME = "default/web-1"


def twins(client_side, pod_side, flags, *, sequence=0, payload=b"", protocol="TCP"):
    return tuple(
        SeenPacket(where, 0.0, protocol, source, destination, flags, sequence, 64, payload)
        for where, (source, destination) in (("client", client_side), (NAME, pod_side))
    )


def followed(*packets):
    outcome = FlowOutcome(
        number=0,
        client=CLIENT,
        peer=NODE,
        pod=NAME,
        started_us=0.0,
        connect_us=1.0,
        response_us=1.0,
        error=None,
    )
    return FollowedConnection(outcome, packets)


THERE = ((CLIENT, VIP), (NODE, POD))
BACK = ((VIP, CLIENT), (POD, NODE))


def test_each_packet_stands_beside_its_rewritten_twin():
    syn, syn_ack = twins(*THERE, "S", sequence=1), twins(*BACK, "SA", sequence=9)[::-1]
    request = twins(*THERE, "PA", sequence=2, payload=b"who?")
    shown = show_rewriting(followed(*syn, *syn_ack, *request))
    ways = [(row.client_side, row.pod_side) for row in shown.rows]
    there, back = (f"{CLIENT} → {VIP}", f"{NODE} → {POD}"), (f"{VIP} → {CLIENT}", f"{POD} → {NODE}")
    assert ways == [there, back, there]
    assert next(row.packet for row in shown.rows) == "SYN"
    assert [row[1:] for row in shown.table.rows] == ways


def test_sentence_says_who_was_called_and_who_was_reached():
    alt = show_rewriting(followed(*twins(*THERE, "S"))).alt
    assert f"called {VIP}" in alt
    assert f"arrived at {POD}, which is {NAME}" in alt
    assert f"from {NODE} instead of its own address" in alt
    assert "from its own address" in show_rewriting(followed(*twins((CLIENT, VIP), (CLIENT, POD), "S"))).alt


def test_a_packet_without_twin_says_so():
    syn, _ = twins(*THERE, "S")
    assert show_rewriting(followed(syn)).rows == (Rewriting("SYN", f"{CLIENT} → {VIP}", "not seen"),)
