"""A node programmed, saved with the real tools and captured: nothing differs, and what is changed is told."""

from __future__ import annotations

import re

import pytest
from capturing import CASES, OTHERS, captured_from, case, program, said, saved

from labkit.capture.captured import capture_node
from labkit.capture.comparing import compare
from labkit.capture.dump import read_dump
from labkit.capture.entrances import UNTRANSLATED, entrances, share
from labkit.capture.explaining import ports_of, reading_of
from labkit.capture.replaying import replay
from labkit.fabric.namespace import Namespace
from labkit.guest.probe import takes_nftables
from labkit.proxy.plans import MODES
from labkit.proxy.program_restore import Backend
from labkit.proxy.program_tables import find_backend
from labkit.spec.cluster import read_cluster
from labkit.spec.text import Text

pytestmark = pytest.mark.usefixtures("nothing_left", "offered")


@pytest.fixture
def offered(request):
    """Skip what the packaged guest has not."""
    called = getattr(request.node, "callspec", None)
    needs_nft = (called and called.params.get("mode") == "nftables") or "packet_filter" in request.node.name
    if needs_nft and not takes_nftables():
        pytest.skip("this Linux has no nf_tables for IPv4")


@pytest.fixture
def node():
    with Namespace.create("node") as namespace:
        yield namespace


@pytest.fixture
def backend(node):
    return find_backend(node)


def check_explained(captured) -> None:
    """Check that the rules lead each entrance to the endpoints that it has, in equal shares, or refuse it."""
    reading = reading_of(captured)
    for port in ports_of(captured):
        for entrance in entrances(port):
            lines = reading.way(entrance)
            inside = entrance.what == "its cluster IP"
            answers = port.answers_inside if inside else port.answers_outside
            chosen = port.local if (port.internal_local if inside else port.external_local) else port.cluster
            told = {word.rstrip(",") for line in lines for word in line.split()}
            assert {one.name for one in chosen} <= told or not answers, (port.name, entrance, lines)
            if captured.mode != "ipvs":  # it keeps real servers that policy Local would refuse
                assert answers or any(line.startswith(UNTRANSLATED) for line in lines)
                shares = [line for line in lines if " % of all" in line]
                assert all(share(1 / len(chosen)) in line for line in shares[-len(chosen) :] if answers)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_a_node_as_planned_has_no_difference_whoever_else_has_chains_there(name, mode, node, backend):
    cluster, config = case(name)
    program(node, backend, mode, cluster, config)
    captured = captured_from(saved(node, backend, mode), cluster, config)
    assert captured.mode == mode
    assert compare(captured) == ()
    check_explained(captured)
    told = "; ".join(captured.dump.left_out)
    for owner in ("flannel", "Calico", "Docker", "the kubelet"):
        assert f"of {owner}, such as" in told
    assert "the policy DROP of filter FORWARD" in told


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
@pytest.mark.parametrize("name", ["affinity", "source-ranges-hold-node", "random-2", "random-7"])
def test_it_does_not_matter_to_which_packet_filter_iptables_wrote(name, mode, node):
    cluster, config = case(name)
    program(node, Backend("nft"), mode, cluster, config)
    assert compare(captured_from(saved(node, Backend("nft"), mode), cluster, config)) == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["three-endpoints", "mh-affinity", "node-port-policy-local", "random-4"])
def test_without_a_configuration_the_rules_tell_it(name, mode, node, backend):
    cluster, config = case(name)
    program(node, backend, mode, cluster, config)
    captured = captured_from(saved(node, backend, mode), cluster, None)
    assert captured.config.cluster_cidr == "10.0.0.0/8"
    assert captured.guessed[0] == "pods are told by the network 10.0.0.0/8"
    if mode == "ipvs":
        assert captured.guessed[1] == f"the scheduler is {config.ipvs.scheduler}"
    assert compare(captured) == ()


CHAIN = "KUBE-SVC-CDGGSHYLG3RE2FKL"  # default/web:http
CHANGES = {
    "a rule is missing": (
        "iptables",
        "iptables-legacy -t nat -D KUBE-MARK-MASQ 1",
        ["chain nat KUBE-MARK-MASQ lacks: -j MARK --set-xmark 0x4000/0x4000"],
    ),
    "somebody's own rule": (
        "iptables",
        f"iptables-legacy -t nat -I {CHAIN} -s 192.0.2.1 -j RETURN",
        [f"chain nat {CHAIN} should not have: -s 192.0.2.1/32 -j RETURN"],
    ),
    "a jump is missing": (
        "iptables",
        "iptables-legacy -t nat -F PREROUTING",
        ["jumps from nat PREROUTING is missing"],
    ),
    "a real server drains": (
        "ipvs",
        "ipvsadm -e -t 10.96.0.10:80 -r 10.244.1.1:8080 -m -w 0",
        [
            "virtual server 10.96.0.10:80/TCP lacks: real server 10.244.1.1:8080 with weight 1",
            "virtual server 10.96.0.10:80/TCP should not have: real server 10.244.1.1:8080 with weight 0",
        ],
    ),
    "a set lost a member": (
        "ipvs",
        "ipset del KUBE-CLUSTER-IP 10.96.0.10,tcp:80",
        ["ipset KUBE-CLUSTER-IP lacks: 10.96.0.10,tcp:80"],
    ),
    "an nftables rule too many": (
        "nftables",
        "nft add rule ip kube-proxy mark-for-masquerade counter",
        ["nftables chain mark-for-masquerade should not have: counter packets 0 bytes 0"],
    ),
}


@pytest.mark.parametrize(("mode", "command", "sentences"), CHANGES.values(), ids=CHANGES)
def test_what_is_changed_is_told_and_nothing_else(mode, command, sentences, node, backend):
    cluster, config = case("three-endpoints")
    program(node, backend, mode, cluster, config)
    said(node, command)
    captured = captured_from(saved(node, backend, mode), cluster, config)
    assert list(compare(captured)) == sentences


def test_without_ipset_save_the_sets_are_not_compared(node, backend):
    cluster, config = case("three-endpoints")
    program(node, backend, "ipvs", cluster, config)
    texts = [text for text in saved(node, backend, "ipvs") if text.name != "ipset save"]
    assert compare(captured_from(texts, cluster, config)) == ()


def test_the_services_alone_of_ipvs_are_compared_without_the_rules(node, backend):
    cluster, config = case("three-endpoints")
    program(node, backend, "ipvs", cluster, config)
    texts = [text for text in saved(node, backend, "ipvs") if text.name == "ipvsadm -S -n"]
    assert compare(captured_from(texts, cluster, config)) == ()


SAMPLES = OTHERS  # beside them stand the dumps of a node
REPLAYED = {
    "iptables": ["kind-worker.iptables.iptables-save"],
    "ipvs": ["kind-worker.ipvs.iptables-save", "kind-worker.ipvsadm-save", "kind-worker.ipset-save"],
    "nftables": ["kind-worker.nft-list"],
}
KIND = Text("kind.yaml", (SAMPLES / "kind.yaml").read_text())


def kind_worker(mode: str, change=lambda text: text):
    texts = [Text(name, change((SAMPLES / name).read_text())) for name in REPLAYED[mode]]
    return capture_node(read_dump(texts), read_cluster([KIND]), "kind-worker")


def who_answered(lab) -> set[str]:
    answers = lab.measure("web", connections=60).answers
    return {pod.rpartition("-")[2] for pod, count in answers.items() if count}


@pytest.mark.parametrize("mode", MODES)
def test_a_replayed_node_holds_what_it_held_and_forwards(mode):
    captured = kind_worker(mode)
    with replay(captured, [KIND]) as lab:
        texts = saved(lab.nodes["kind-worker"], lab.proxy["kind-worker"].backend, mode)
        assert compare(capture_node(read_dump(texts), captured.cluster, "kind-worker")) == ()
        assert who_answered(lab) == {"hb2xq", "xw9tr", "z7n2k"}


WITHOUT_Z7N2K = {
    "ipvs": r"-a -t 10.96.114.7:80 -r 10.244.0.4:8080 .*\n",
    "iptables": r"-A KUBE-SVC-CDGGSHYLG3RE2FKL .* -> 10.244.0.4:8080.*\n",
    "nftables": r"0 : goto endpoint-MKGAVGLF\S+, (?=1 : goto endpoint-SVLGPL42)",
}


@pytest.mark.parametrize(("mode", "pattern"), WITHOUT_Z7N2K.items())
def test_a_replayed_node_does_what_its_own_rules_say(mode, pattern):
    def change(text: str) -> str:
        return (
            re.sub(pattern, "", text)
            .replace("mod 3 vmap { 1 :", "mod 2 vmap { 0 :")
            .replace(", 2 :", ", 1 :")
        )

    captured = kind_worker(mode, change)
    assert compare(captured) != ()
    with replay(captured, [KIND]) as lab:
        assert who_answered(lab) == {"hb2xq", "xw9tr"}
