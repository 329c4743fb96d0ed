"""Packets crafted, sent and dissected by Scapy, on a real network under real kube-proxy rules."""

from __future__ import annotations

import pytest
from traffic_lab import PODS, traffic_lab

from labkit.errors import RequestError, TrafficError
from labkit.traffic.capture import Capture, CapturePoint
from labkit.traffic.flow import Target
from labkit.traffic.packets import follow_connection, probe, send_datagrams
from labkit.traffic.scapylock import run_scapy

WEB = Target("10.96.0.10", 80)
DNS = Target("10.96.0.10", 53, "UDP")


@pytest.fixture(scope="module", params=["iptables", "ipvs"])
def lab(request):
    with traffic_lab() as lab:
        lab.program(request.param)
        yield lab


@pytest.fixture
def client(lab):
    return CapturePoint("client", lab.client)


@pytest.fixture
def pods(lab):
    return [CapturePoint(pod, lab.network.pod(pod)) for pod in PODS]


def flags_by_direction(packets):
    """What the client said and was told: packets keep their order within a direction, not between them."""
    client = packets[0].source
    return [[one.flags for one in packets if (one.source == client) is said] for said in (True, False)]


def test_a_followed_connection_shows_the_translated_address(lab, client, pods):
    followed = follow_connection(client, lab.addresses[0], WEB, pods)
    assert followed.outcome.pod in PODS
    at_client = [packet for packet in followed.packets if packet.where == "client"]
    at_pod = [packet for packet in followed.packets if packet.where == followed.outcome.pod]
    assert len(at_client) + len(at_pod) == len(followed.packets)
    asked, arrived = at_client[0], at_pod[0]
    assert (asked.flags, arrived.flags) == ("S", "S")
    assert asked.sequence == arrived.sequence, "it is the same SYN"
    assert asked.destination == "10.96.0.10:80"
    assert arrived.destination == f"{lab.address_of(followed.outcome.pod)}:8080"
    if (
        followed.outcome.pod == PODS[1]
    ):  # on the other node; on its own, br_netfilter may bridge what it translated
        assert arrived.ttl < asked.ttl
    assert at_client[1].source == "10.96.0.10:80", "the answer is translated back"
    assert flags_by_direction(at_client) == flags_by_direction(at_pod)
    assert sum("F" in packet.flags for packet in at_client) == 2, "followed to its end"
    times = [packet.time_us for packet in followed.packets]
    assert times == sorted(times)


def test_a_datagram_is_followed_too(lab, client, pods):
    followed = follow_connection(client, lab.addresses[1], DNS, pods)
    assert [packet.where for packet in followed.packets] == ["client", *[followed.outcome.pod] * 2, "client"]
    assert {packet.protocol for packet in followed.packets} == {"UDP"}
    assert followed.packets[0].payload == followed.packets[1].payload == b"0\n"


def test_crafted_datagrams_reach_all_pods_and_every_answer_is_counted(lab, client):
    result = send_datagrams(client, lab.addresses[:8], DNS, 40)
    assert result.sent == 40
    assert sum(result.answers.values()) == 40
    assert set(result.answers) == set(PODS)
    assert len(result.packets) == 80


def test_a_probe_tells_listening_from_refusing(lab, client):
    assert [packet.flags for packet in probe(client, lab.addresses[2], WEB)][:2] == ["S", "SA"]
    closed = Target(lab.address_of(PODS[0]), 9999)
    assert [packet.flags for packet in probe(client, lab.addresses[2], closed)] == ["S", "RA"]


@pytest.mark.parametrize("count", [0, 501])
def test_too_many_datagrams_are_refused(lab, client, count):
    with pytest.raises(RequestError, match=str(count)):
        send_datagrams(client, lab.addresses, DNS, count)


def test_scapy_sees_the_namespace_it_runs_in_and_only_there(lab):
    from scapy.config import conf
    from scapy.layers.inet import ICMP, IP
    from scapy.sendrecv import sr1

    before = conf.ifaces, conf.route, conf.iface, conf.L3socket

    def ping():
        assert {interface.name for interface in conf.ifaces.values()} == {"lo", "eth0"}
        answer = sr1(IP(dst=lab.address_of(PODS[1])) / ICMP(), timeout=20, verbose=0)
        return answer.src, str(conf.iface)

    assert run_scapy(lab.client, ping) == (lab.address_of(PODS[1]), "eth0")
    assert (conf.ifaces, conf.route, conf.iface, conf.L3socket) == before


def test_an_interface_that_is_not_there_cannot_be_watched(lab):
    with pytest.raises(TrafficError, match="eth9") as caught:
        Capture([CapturePoint("client", lab.client, "eth9")])
    assert caught.value.where == "client"
