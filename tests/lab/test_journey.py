"""lab.journey, live: what it says of a connection, that nothing of it remains, and that a loss is raised."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labkit import Lab
from labkit.errors import RequestError, TrafficError
from labkit.guest.probe import takes_nftables
from labkit.measure.journey import spine, taps
from labkit.measure.journey.form import from_json, to_json
from labkit.proxy.plans import MODES

pytestmark = pytest.mark.skipif(not takes_nftables(), reason="journeys are whole in the lab's own Linux only")


@pytest.fixture(scope="module")
def lab():
    with Lab.open("web") as opened:
        opened.switch("ipvs")
        with opened.journey(
            "client", service="web"
        ):  # the namespaces' own threads begin with their first use
            pass
        yield opened


@pytest.fixture(autouse=True)
def as_opened(request):
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").switch("iptables")


def what_a_node_holds(lab: Lab) -> dict[str, str]:
    """Return what a recorder changes in a node and in the kernel, as it is now."""
    node = lab.nodes["node-1"]
    return {
        "rules": node.command(["nft", "list", "ruleset"]).stdout,
        "links": node.command(["ip", "-o", "link"]).stdout,
        "logger": node.read_sysctl("net/netfilter/nf_log/2"),
        "ipvs": Path("/proc/sys/net/ipv4/vs/debug_level").read_text(),
        "tracing": str(list(spine.TRACING.iterdir())),
        "mounts": Path("/proc/self/mounts").read_text(),
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_journey_leads_from_socket_to_pod_and_back(lab, mode):
    lab.switch(mode)
    with lab.journey("client", service="web", packets="all") as journey:
        pass
    outcome = journey.outcome
    assert outcome.answered_by in {f"default/web-{number}" for number in range(1, 5)}
    (rewrite,) = outcome.rewrites
    pod = outcome.answered_by.removeprefix("default/")
    assert (rewrite.namespace, rewrite.kind, rewrite.before) == ("node-1", "DNAT", "10.96.0.10:80")
    assert rewrite.after == f"{lab.network.plan.pod(outcome.answered_by).addresses[0].address}:8080"
    assert (journey.lanes[0].namespace, journey.lanes[-1].namespace) == ("client", pod)
    assert {"SYN", "SYN-ACK", "ACK", "data", "FIN"} <= {packet.what for packet in journey.packets}
    kinds = {event.kind for event in journey.events}
    assert {"interface", "hook", "route", "rule", "conntrack", "nat", "socket"} <= kinds
    assert ("ipvs" in kinds) == (mode == "ipvs")
    undone = [event for event in journey.events if event.verdict == "DNAT undone" and event.packet == 2]
    assert [event.after.source for event in undone] == ["10.96.0.10:80"]
    assert from_json(to_json(journey)) == journey


@pytest.mark.parametrize("mode", MODES)
def test_every_rule_stands_in_the_line_that_its_event_names(lab, mode):
    lab.switch(mode)
    with lab.journey("outside", service="node-1:30080") as journey:
        pass
    numbered = {
        (one.namespace, number, line.strip())
        for one in journey.rulesets
        for number, line in enumerate(one.text.splitlines(), 1)
    }
    seen = [one for one in journey.events if one.kind == "rule" and one.rule and one.evidence == "seen"]
    assert seen
    assert {(one.namespace, one.line, one.text) for one in seen} <= numbered


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt])
def test_nothing_remains_however_the_block_ends(lab, nothing_left, ending):
    lab.switch("ipvs")
    before = what_a_node_holds(lab)
    with pytest.raises(ending), lab.journey("client", service="web"):  # noqa: PT012  what is there meanwhile
        assert what_a_node_holds(lab) != before
        raise ending
    assert what_a_node_holds(lab) == before
    with lab.journey("client", service="web") as journey:
        assert journey.outcome.answered_by
    assert what_a_node_holds(lab) == before


def test_nothing_remains_of_one_that_could_not_begin(lab, nothing_left):
    before = what_a_node_holds(lab)
    with (
        lab.journey("client", service="web"),
        pytest.raises(TrafficError, match="another journey"),
        lab.journey("client", service="web"),
    ):
        pass
    assert what_a_node_holds(lab) == before


@pytest.mark.parametrize(("module", "name", "value"), [(taps, "BUFFER_BYTES", 2304), (spine, "BUFFER_KB", 4)])
def test_a_loss_is_raised(lab, monkeypatch, module, name, value):
    before = what_a_node_holds(lab)
    monkeypatch.setattr(module, name, value)
    with pytest.raises(TrafficError), lab.journey("client", service="web", packets="all"):
        pass
    assert what_a_node_holds(lab) == before


def test_without_its_rule_a_service_is_not_found(lab):
    node = lab.nodes["node-1"]
    rules = node.command(["iptables-legacy", "-t", "nat", "-S", "KUBE-SERVICES"]).stdout.splitlines()
    (rule,) = [one for one in rules if "--dport 80" in one]
    node.command(["sh", "-c", f"iptables-legacy -t nat -D {rule.removeprefix('-A ')}"])
    with lab.journey("client", service="web") as journey:
        pass
    assert journey.outcome.answered_by is None
    assert journey.outcome.rewrites == ()
    assert not [event for event in journey.events if event.verdict.startswith("DNAT")]
    lab.reset("iptables")
    with lab.journey("client", service="web") as journey:
        assert journey.outcome.answered_by


def test_a_frame_for_another_hardware_address_reaches_nobody_who_sees_it_pass(lab):
    wrong = "ip neighbour replace 172.18.0.12 lladdr 0a:58:00:00:00:01 dev eth0 nud permanent"
    lab.nodes["node-1"].command(wrong.split())
    with lab.journey("client", service="10.244.2.2:8080") as journey:
        pass
    assert journey.outcome.reached is None
    assert "node-2" not in {lane.namespace for lane in journey.lanes}
    lab.reset("iptables")


@pytest.mark.parametrize(
    ("mode", "emptying"),
    [
        ("iptables", "iptables-legacy -t nat -F KUBE-POSTROUTING"),
        ("ipvs", "iptables-legacy -t nat -F KUBE-POSTROUTING"),
        ("nftables", "nft flush chain ip kube-proxy masquerading"),
    ],
)
def test_without_the_rules_that_masquerade_nobody_does(lab, mode, emptying):
    lab.switch(mode)

    def masquerades():
        with lab.journey("outside", service="node-1:30080") as journey:
            pass
        rules = [event for event in journey.events if event.verdict == "MASQUERADE"]
        return [one.kind for one in journey.outcome.rewrites], bool(rules)

    assert masquerades() == (["DNAT", "SNAT"], True)
    lab.nodes["node-1"].command(emptying.split())
    assert masquerades() == (["DNAT"], False)
    lab.switch("ipvs" if mode == "iptables" else "iptables")  # and the rules are written anew


def test_a_reject_names_the_rule_and_the_client_is_told(lab):
    lab.reset("iptables")
    for pod in lab.cluster.pods:
        lab.set_endpoint(pod.name, "removed")
    with lab.journey("client", service="web") as journey:
        pass
    lab.reset("iptables")
    drop = journey.outcome.drop
    assert journey.outcome.error == "refused"
    assert (drop.namespace, drop.packet, drop.rejected) == ("node-1", 1, True)
    assert "has no endpoints" in drop.rule
    assert [packet.what for packet in journey.packets] == ["SYN", "ICMP port unreachable"]


def test_its_packets_are_scapys_and_a_file_that_others_read(lab, tmp_path):
    with lab.journey("client", service="web") as journey:
        path = tmp_path / "journey.pcapng"
        journey.to_pcapng(path)
    frames = [event for event in journey.events if event.frame]
    packets = journey.scapy_packets()
    assert [bytes(packet) for packet in packets] == [bytes.fromhex(event.frame) for event in frames]
    assert packets[0].sniffed_on == "client/eth0"
    read = subprocess.run(["tcpdump", "-nr", path], capture_output=True, text=True, check=True)
    assert len(read.stdout.splitlines()) == len(frames)


@pytest.mark.parametrize(
    ("client", "service", "packets"),
    [
        ("nobody", "web", "all"),
        ("client", "nothing", "all"),
        ("client", "web", "some"),
        ("client", "web:x/UDP", "all"),
    ],
)
def test_what_cannot_be_asked_is_refused(lab, nothing_left, client, service, packets):
    with pytest.raises(RequestError), lab.journey(client, service=service, packets=packets):
        pass
