"""Blasts through real Services: every frame's arrival counted, losses seen, pods as they were afterwards."""

from dataclasses import replace

import pytest
from traffic_lab import PODS, traffic_lab

from labkit.errors import RequestError
from labkit.guest.probe import takes_nftables
from labkit.measure.blasting import blast_service
from labkit.measure.distribution import is_even
from labkit.measure.experiment import Programmed, plan_service_targets
from labkit.traffic import blastsending

IPVS = Programmed("ipvs", "rr")


@pytest.fixture(scope="module")
def lab():
    with traffic_lab() as opened:
        yield opened


def target(lab, protocol):
    return next(one for one in plan_service_targets(lab.cluster) if one.target.protocol == protocol)


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_every_frame_is_delivered_and_counted(lab, mode, protocol):
    if mode == "nftables" and not takes_nftables():
        pytest.skip("this guest has no nftables")
    lab.program(mode)
    result = blast_service(lab.network, target(lab, protocol), 3000, programmed=Programmed(mode, "rr"))
    assert (result.sent, result.lost, sum(result.delivered.values())) == (3000, 0, 3000)
    assert set(result.delivered) == set(PODS)
    assert len(repr(result).splitlines()) == 2
    if mode == "ipvs":
        assert is_even(result.delivered, PODS)


def test_what_a_dead_link_swallows_is_reported_as_lost(lab):
    lab.program("ipvs")
    lab.network.unplug(lab.network.plan.pod(PODS[0]).name)
    try:
        result = blast_service(lab.network, target(lab, "UDP"), 300, programmed=IPVS)
    finally:
        lab.network.plug_in(lab.network.plan.pod(PODS[0]).name)
    assert (result.delivered[PODS[0]], result.lost) == (0, 100)
    assert "100 lost" in repr(result)


def test_without_sendmmsg_each_frame_is_sent_alone(lab, monkeypatch):
    def missing(*_):
        raise AttributeError("sendmmsg")

    monkeypatch.setattr(blastsending, "ManySender", missing)
    lab.program("ipvs")
    assert blast_service(lab.network, target(lab, "TCP"), 700, programmed=IPVS).lost == 0


def test_pods_are_as_they_were(lab):
    def state():
        pods = [lab.network.pod(pod) for pod in PODS]
        return [
            (p.read_sysctl("net/ipv4/conf/eth0/rp_filter"), p.command(["ip", "route"]).stdout) for p in pods
        ]

    before = state()
    blast_service(lab.network, target(lab, "TCP"), 10, programmed=IPVS)
    assert state() == before


@pytest.mark.parametrize(
    ("flows", "client", "change", "words"),
    [
        (0, "client", {}, "0 flows cannot be sent"),
        (10**9, "client", {}, "1,000,000,000 flows cannot be sent"),
        (10, "nobody", {}, "no client 'nobody'"),
        (10, "outside", {}, "no route to 10.96.0.10"),
        (10, "client", {"clock": "virtual"}, "time is virtual"),
    ],
)
def test_what_cannot_be_is_refused(lab, flows, client, change, words):
    with pytest.raises(RequestError, match=words):
        blast_service(
            lab.network, target(lab, "TCP"), flows, programmed=replace(IPVS, **change), client=client
        )


def test_a_service_without_endpoints_is_refused(lab):
    with pytest.raises(RequestError, match="no endpoint"):
        blast_service(lab.network, replace(target(lab, "TCP"), pods=()), 10, programmed=IPVS)
