"""Lab: what a lesson holds in its hand, in the guest."""

import pytest

from labkit import Lab
from labkit.errors import CapabilityError, RequestError
from labkit.guest.probe import takes_nftables
from labkit.measure.distribution import is_even

WEB_PODS = tuple(f"default/web-{number}" for number in range(1, 5))


@pytest.fixture(scope="module")
def lab():
    with Lab.open("web") as opened:
        yield opened


@pytest.fixture(autouse=True)
def as_opened(request):
    """The shared lab is in iptables mode at the start of each test."""
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").switch("iptables")


def test_every_connection_is_answered_in_every_mode(lab):
    assert set(lab.modes) >= {"iptables", "ipvs"}
    for mode in lab.modes:
        lab.switch(mode)
        result = lab.measure("web", connections=80)
        assert (result.mode, result.answered, result.lost_stamps) == (mode, 80, 0)
        assert sum(result.answers.values()) == 80
        assert set(result.latency_us) == {"connect", "response", "forward"}


def test_round_robin_is_even_to_within_one(lab):
    lab.switch("ipvs", "rr")
    assert is_even(lab.measure("web", connections=82).answers, WEB_PODS)


def test_weights_given_by_pod_name_are_kept_to_exactly(lab):
    lab.switch("ipvs", "wrr", weights={"web-1": 5, "default/web-2": 3, "web-3": 1, "web-4": 1})
    answers = lab.measure("web", connections=100).answers
    assert [answers[pod] for pod in WEB_PODS] == [50, 30, 10, 10]


def test_chance_alone_explains_iptables_and_nftables_choices(lab):
    for mode in set(lab.modes) - {"ipvs"}:
        lab.switch(mode)
        result = lab.measure("web", connections=400)
        assert (result.mode, result.algorithm) == (mode, "random")
        assert result.p_value is not None
        assert result.p_value > 1e-6


@pytest.mark.skipif(takes_nftables(), reason="this Linux has nf_tables for IPv4")
def test_a_mode_that_this_linux_lacks_is_refused_and_nothing_changes(lab, nothing_left):
    assert "nftables" not in lab.modes
    before = repr(lab)
    for ask in (lab.switch, lab.reset):
        with pytest.raises(CapabilityError, match="nf_tables") as refused:
            ask("nftables")
        assert refused.value.todo
        assert repr(lab) == before
    with pytest.raises(CapabilityError):
        Lab.open("web", mode="nftables")
    assert lab.measure("web", connections=8).answered == 8


def test_every_scheduler_of_the_guest_answers(lab):
    assert {"rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq"} <= set(lab.schedulers)
    for scheduler in lab.schedulers:
        lab.switch("ipvs", scheduler)
        result = lab.measure("web", connections=12)
        assert (result.algorithm, result.answered) == (scheduler, 12)


def test_a_client_outside_reaches_a_node_port_and_no_cluster_ip(lab):
    outside = lab.clients["outside"]
    for node in lab.cluster.nodes:
        called = outside.command(["curl", "-s", "-m", "3", f"http://{node.address}:30080"])
        assert called.stdout.startswith("pod=default/web-")
        assert f"peer={node.address}:" in called.stdout or "peer=10.244." in called.stdout
    assert outside.command(["curl", "-s", "-m", "1", "http://10.96.0.10"]).status != 0


def test_a_pod_reaches_itself_through_its_service(lab):
    """Hairpin: with all other pods dead, what web-1 calls is web-1."""
    for mode in lab.modes:
        lab.switch(mode)
        answers = [
            lab.pods["web-1"].command(["curl", "-s", "-m", "3", "http://10.96.0.10"]).stdout
            for _ in range(24)
        ]
        assert all(answer.startswith("pod=default/web-") for answer in answers)
        own = [answer for answer in answers if answer.startswith("pod=default/web-1 ")]
        assert own, "24 calls, and none came back to the caller"
        assert all("peer=10.244.1.2:" not in answer for answer in own), "a hairpin call is masqueraded"


def test_a_packet_made_with_scapy_is_answered_from_the_service_s_address(lab):
    from scapy.layers.inet import IP, TCP

    for mode in lab.modes:
        lab.switch(mode)
        answer = lab.send(IP(dst="10.96.0.10") / TCP(sport=5555, dport=80, flags="S"))
        assert (answer[IP].src, str(answer[TCP].flags)) == ("10.96.0.10", "SA")


def test_only_an_ip_packet_can_be_sent(lab):
    with pytest.raises(RequestError, match="only an IP packet"):
        lab.send("SYN")


def test_a_followed_connection_shows_the_service_on_one_side_and_the_pod_on_the_other(lab):
    followed = lab.follow("web")
    at_client = {packet.destination for packet in followed.packets if packet.where == "client"}
    at_pod = {packet.destination for packet in followed.packets if packet.where == followed.outcome.pod}
    assert "10.96.0.10:80" in at_client
    assert "10.96.0.10:80" not in at_pod
    assert any(destination.endswith(":8080") for destination in at_pod)


@pytest.mark.parametrize("name", ["web", "default/web", "web:http", "web:80", "web/TCP", "web:80/TCP", ""])
def test_a_service_port_goes_by_many_names(lab, name):
    assert lab.measure(name, connections=1).service == "default/web:80"


@pytest.mark.parametrize("name", ["wbe", "web:81", "other/web", "web/UDP"])
def test_an_unknown_service_is_refused_with_the_ones_there_are(lab, name):
    with pytest.raises(RequestError) as refused:
        lab.measure(name)
    assert "default/web:80/TCP" in refused.value.todo


@pytest.mark.parametrize(
    ("mode", "scheduler", "weights"),
    [
        ("userspace", "rr", {}),
        ("ipvs", "wrrr", {}),
        ("ipvs", "rr", {"web-9": 1}),
        ("ipvs", "wrr", {"web-1": -1}),
    ],
)
def test_what_cannot_be_switched_to_leaves_the_lab_as_it_was(lab, mode, scheduler, weights):
    before = repr(lab)
    with pytest.raises(RequestError) as refused:
        lab.switch(mode, scheduler, weights)
    assert refused.value.todo
    assert repr(lab) == before
    assert lab.measure("web", connections=8).answered == 8


def test_reset_starts_over(lab):
    lab.nodes["node-1"].command(["iptables-legacy", "-t", "nat", "-F"])
    lab.switch("ipvs", "lc")
    lab.reset()
    assert (lab.mode, lab.scheduler) == ("ipvs", "lc")
    assert lab.measure("web", connections=8).answered == 8
    (held,) = [
        line
        for line in lab.nodes["node-1"].command(["ipvsadm", "-Ln"]).stdout.splitlines()
        if "10.96" in line
    ]
    assert held.split()[2] == "lc"
