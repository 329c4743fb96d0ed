"""12-three-faults: what students get, and the commands that are taken from them."""

from collections import Counter

import pytest
from fault_draws import draw_of_student, scene_in_mode

from labkit.errors import RequestError
from labkit.grade.exercises.e12_three_faults import mending_commands, plan_faults
from labkit.grade.faults.catalogue import FAULTS, are_apart, faults_of, places_of
from labkit.grade.faults.commands import NodeCommand, read_commands
from labkit.proxy.plans import MODES

NODES = ("node-1", "node-2")
DRAWS = [draw_of_student(number) for number in range(100)]


def test_each_of_100_students_gets_three_faults_of_one_mode_that_are_apart():
    for given in DRAWS:
        scene, faults = plan_faults(given)
        assert len(faults) == len(set(given["complaints"])) == 3
        assert are_apart(list(faults))
        assert all(scene.mode in FAULTS[one["name"]].modes for one in given["_faults"])


def test_each_fault_in_each_of_its_modes_is_some_students():
    drawn = Counter((given["mode"], one["name"]) for given in DRAWS for one in given["_faults"])
    assert set(drawn) == {(mode, fault.name) for mode in MODES for fault in faults_of(mode)}


def test_no_fault_hides_another_by_choosing_other_pods():
    for given in DRAWS:
        _, faults = plan_faults(given)
        unfair = {(one.node, one.symptom.service) for one in faults if one.symptom.kind == "shared"}
        others = {(one.node, one.symptom.service) for one in faults if one.symptom.kind != "shared"}
        assert not unfair & others


def test_a_learner_is_not_told_the_faults():
    for given in DRAWS:
        names = [one["name"] for one in given["_faults"]]
        told = " ".join(str(value) for name, value in given.items() if not name.startswith("_"))
        assert not any(name in told for name in names)


@pytest.mark.parametrize("mode", MODES)
def test_what_breaks_and_what_mends_is_in_the_grammar(mode):
    scene, _ = scene_in_mode(mode)
    for fault in faults_of(mode):
        for place in places_of(scene, fault):
            planned = fault.plan(scene, place)
            commands = [NodeCommand(planned.node, argv) for argv in (*planned.breaks, *planned.mends)]
            assert read_commands("\n".join(map(str, commands)), NODES) == tuple(commands)


def test_commands_are_read_as_a_terminal_reads_them():
    text = """
    # the way to the other pods
    ip netns exec node-1 ip route add 10.244.2.0/24 \\
        via 172.18.0.12

    ip netns exec node-2 iptables-legacy -A FORWARD -m comment --comment "let through" -j ACCEPT
    """
    first, second = read_commands(text, NODES)
    assert first == NodeCommand("node-1", ("ip", "route", "add", "10.244.2.0/24", "via", "172.18.0.12"))
    assert second.argv[6] == "let through"


@pytest.mark.parametrize(
    "line",
    [
        "ip route add 10.244.2.0/24 via 172.18.0.12",
        "ip netns exec node-1",
        "ip netns exec web-1 ip route del default",
        "ip netns exec node-1 sh -c 'id'",
        "ip netns exec node-1 ip netns exec node-2 ip link set eth0 down",
        "ip netns exec node-1 ip -batch /etc/passwd",
        "ip netns exec node-1 ip route add default via 10.0.0.1 encap bpf in obj /x",
        "ip netns exec node-1 ip link set dev eth0 xdp object /x",
        "ip netns exec node-1 ip route del 10.244.2.0/24; id",
        "ip netns exec node-1 ip route del 10.244.2.0/24 | tee /x",
        "ip netns exec node-1 sysctl -p /etc/passwd",
        "ip netns exec node-1 sysctl -w kernel.modprobe=/x",
        "ip netns exec node-1 sysctl -w net.ipv4.ip_forward=$(id)",
        "ip netns exec node-1 iptables-legacy --modprobe=/x -L",
        "ip netns exec node-1 iptables-legacy -A FORWARD -m ../../x -j ACCEPT",
        "ip netns exec node-1 ipset restore -file /x",
        "ip netns exec node-1 ipset destroy KUBE-CLUSTER-IP",
        "ip netns exec node-1 ipvsadm -R",
        "ip netns exec node-1 ipvsadm --restore",
        "ip netns exec node-1 nft -f /etc/passwd",
        "ip netns exec node-1 nft 'add chain ip kube-proxy x ; include \"/etc/passwd\"'",
        "ip netns exec node-1 nft 'add chain ip kube-proxy x ; monitor'",
        "ip netns exec node-1 nft flush ruleset",
        "ip netns exec node-1 bridge monitor",
        "ip netns exec node-1 ip 'route",
        "ip netns exec node-1 ip route add " + "10.0.0.1 " * 300,
    ],
)
def test_what_is_no_command_for_a_nodes_network_is_refused(line):
    with pytest.raises(RequestError) as refused:
        read_commands(line, NODES)
    assert refused.value.todo


def test_too_many_commands_are_refused():
    with pytest.raises(RequestError, match="61 commands"):
        read_commands("ip netns exec node-1 ip route del default\n" * 61, NODES)


def test_no_students_mends_are_too_many():
    for given in DRAWS:
        read_commands(mending_commands(given), NODES)
