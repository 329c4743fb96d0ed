"""The control room's buttons, pressed: each does what its line of Python says."""

import threading

import pytest

from labkit import Lab, control_room
from labkit.guest.probe import takes_nftables


@pytest.fixture(scope="module")
def lab():
    with Lab.open("web") as opened:
        yield opened


@pytest.fixture
def room(lab):
    made = control_room(lab, connections=8)
    yield made
    made.close()
    lab.reset("iptables", "rr")


def press(room, name):
    room.panel.buttons[name].click()


def wait_for_rounds(room, number):
    """Let traffic run until so many rounds more are drawn."""
    enough, seen = threading.Event(), []

    def count(_change):
        seen.append(1)
        if len(seen) >= number:
            enough.set()

    room.panel.rounds.observe(count, "value")
    assert enough.wait(60)
    room.panel.rounds.unobserve(count, "value")


def test_traffic_moves_the_shares_and_the_times(room):
    press(room, "Start traffic")
    wait_for_rounds(room, 3)
    press(room, "Start traffic")  # it says "Stop traffic" now
    assert not room.traffic.is_running
    assert len(room.rounds) >= 3
    assert "%" in room.panel.topology.value
    assert room.done == ['lab.measure("web", connections=8)  # again and again']


def test_switching_uses_mode_scheduler_and_weights(room, lab):
    menus = room.panel.menus
    menus["mode"].value, menus["scheduler"].value = "ipvs", "wrr"
    room.panel.weights["web-1"].value = 3
    line = 'lab.switch("ipvs", "wrr", weights={"web-1": 3})'
    assert line.replace('"', "&quot;") in room.panel.line.value
    press(room, "Switch")
    assert (lab.mode, lab.scheduler, dict(lab.weights)) == ("ipvs", "wrr", {"default/web-1": 3})
    assert room.done == [line]
    assert "ipvs wrr" in room.panel.topology.value


def test_pods_die_come_back_and_leave(room, lab):
    menus = room.panel.menus
    menus["pod"].value = "web-2"
    press(room, "Refuses")
    assert dict(lab.deaths) == {"default/web-2": "refuses"}
    assert ">refuses<" in room.panel.topology.value
    press(room, "Revive")
    assert not lab.deaths
    press(room, "Unreachable")
    assert dict(lab.deaths) == {"default/web-2": "unreachable"}
    press(room, "Revive")
    menus["state"].value = "removed"
    press(room, "Set endpoint")
    assert ">removed<" in room.panel.topology.value
    assert room.done == [
        'lab.kill("web-2")',
        'lab.revive("web-2")',
        'lab.kill("web-2", "unreachable")',
        'lab.revive("web-2")',
        'lab.set_endpoint("web-2", "removed")',
    ]


def test_what_cannot_be_done_is_said(room, lab):
    room.panel.menus["mode"].options = ("iptables", "userspace")
    room.panel.menus["mode"].value = "userspace"
    press(room, "Switch")
    assert "userspace" in room.panel.status.value
    assert room.done == []
    assert lab.mode == "iptables"


@pytest.mark.skipif(not takes_nftables(), reason="this Linux has no nf_tables for IPv4")
def test_pods_die_and_modes_change_while_traffic_runs(room):
    menus = room.panel.menus
    press(room, "Start traffic")
    for mode in ("ipvs", "nftables", "iptables"):
        menus["mode"].value = mode
        press(room, "Switch")
        press(room, "Refuses")
        wait_for_rounds(room, 2)
        press(room, "Revive")
    press(room, "Start traffic")
    assert len(room.done) == 10
    assert {one.algorithm for one in room.rounds} == {"iptables random", "ipvs rr", "nftables random"}
    assert "stopped" in room.panel.status.value


def test_in_a_closed_lab_every_button_says_so(room, lab):
    lab.close()
    press(room, "Refuses")
    assert "this lab is closed" in room.panel.status.value
    press(room, "Start traffic")
    room.traffic.stop()
    assert "this lab is closed" in room.panel.status.value
    assert [line for line in room.done if "kill" in line] == []


def test_a_reset_brings_the_dead_back(lab):
    lab.kill("web-1")
    lab.reset()
    assert not lab.deaths
