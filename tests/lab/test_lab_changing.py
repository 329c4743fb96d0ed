"""Pods that die, come back, and leave their Services, in the guest."""

import pytest

from labkit import Lab
from labkit.errors import RequestError
from labkit.spec.events import Event


@pytest.fixture(scope="module")
def lab():
    with Lab.open("dead-backend") as opened:
        yield opened


@pytest.fixture(autouse=True)
def everyone_alive(request):
    yield
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        for pod in lab.pods:
            lab.revive(pod)
            lab.set_endpoint(pod, "ready")
        lab.switch("iptables")


def first_errors(lab, **plan):
    return lab.call("web", **{"calls": 12, "every_s": 0.0, "timeout_s": 0.5, "retries": 0, **plan}).errors


def test_round_robin_meets_a_dead_pod_on_every_third_call_and_one_retry_is_enough(lab):
    lab.switch("ipvs", "rr")
    lab.kill("web-1")
    assert first_errors(lab) == {"refused": 4}
    seen = lab.call("web", calls=12, every_s=0.0, timeout_s=0.5, retries=1)
    assert (seen.failed, set(seen.answers)) == (0, {"default/web-2", "default/web-3"})
    assert str(seen).startswith("default/web:80, ipvs (rr): 12 calls, 0 failed")


def test_no_mode_takes_a_dead_pod_out_by_itself(lab):
    for mode in lab.modes:
        lab.switch(mode)
        lab.kill("default/web-1")
        dead = lab._plan.pod("default/web-1").addresses[0].address
        assert any(dead in line for line in programmed(lab, mode)), mode
        assert first_errors(lab, calls=60)["refused"] > 0, (
            "60 random choices of three, and none was the dead pod"
        )


def programmed(lab, mode):
    commands = {
        "iptables": [
            "iptables-legacy" if lab.iptables_backend == "legacy" else "iptables-nft",
            "-t",
            "nat",
            "-S",
        ],
        "nftables": ["nft", "list", "table", "ip", "kube-proxy"],
        "ipvs": ["ipvsadm", "-Ln"],
    }
    return lab.nodes["node-1"].command(commands[mode]).stdout.splitlines()


def test_whom_the_slices_drop_every_mode_drops(lab):
    lab.kill("web-1")
    lab.set_endpoint("web-1", "removed")
    for mode in lab.modes:
        lab.switch(mode)
        seen = lab.call("web", calls=15, every_s=0.0, timeout_s=0.5, retries=0)
        assert (dict(seen.errors), set(seen.answers)) == ({}, {"default/web-2", "default/web-3"}), mode


@pytest.mark.parametrize("state", ["not-ready", "terminating"])
def test_who_is_not_ready_or_terminates_gets_no_new_connections(lab, state):
    lab.switch("ipvs", "rr")
    lab.set_endpoint("web-1", state)
    assert set(lab.call("web", calls=6, every_s=0.0).answers) == {"default/web-2", "default/web-3"}


def test_an_unreachable_pod_does_not_even_refuse_and_comes_back_whole(lab):
    lab.switch("ipvs", "rr")
    lab.kill("web-2", "unreachable")
    assert first_errors(lab, calls=3, timeout_s=0.2) == {"timeout": 1}
    lab.revive("web-2")
    for caller in ("client", "outside"):
        address = lab._plan.pod("default/web-2").addresses[0].address
        asked = lab.clients[caller].command(["curl", "-s", "-m", "3", f"http://{address}:8080"])
        assert asked.stdout.startswith("pod=default/web-2 ")
    assert first_errors(lab) == {}


def test_events_happen_while_a_block_runs_and_those_left_do_not(lab):
    lab.switch("ipvs", "rr")
    with lab.happening(Event(0.0, "web-1", "refuses"), Event(3600.0, "web-2", "refuses")):
        while "refused" not in lab.call("web", calls=3, every_s=0.0, retries=0).errors:
            pass
    assert set(lab.call("web", calls=12, every_s=0.0, retries=1).answers) == {
        "default/web-2",
        "default/web-3",
    }


@pytest.mark.parametrize(
    ("wrong", "known"),
    [
        (lambda lab: lab.kill("web-9"), "default/web-1"),
        (lambda lab: lab.kill("web-1", "slowly"), "refuses, unreachable"),
        (lambda lab: lab.revive("node-1"), "default/web-1"),
        (lambda lab: lab.set_endpoint("wbe-1", "ready"), "default/web-1"),
        (lambda lab: lab.set_endpoint("web-1", "gone"), "not-ready"),
        (lambda lab: lab.happening(Event(1.0, "web-9", "refuses")).__enter__(), "default/web-1"),
        (lambda lab: lab.happening(Event(1.0, "web-1", "sleeps")).__enter__(), "revived"),
        (lambda lab: lab.call("web", calls=0), "1 or more"),
        (lambda lab: lab.call("web", timeout_s=float("nan")), "more than 0"),
    ],
)
def test_what_cannot_happen_is_refused_with_what_can(lab, wrong, known):
    with pytest.raises(RequestError) as refused:
        wrong(lab)
    assert known in refused.value.todo
    assert first_errors(lab) == {}


def test_reset_revives_everyone_and_writes_the_slices_anew(lab):
    lab.kill("web-1", "unreachable")
    lab.set_endpoint("web-1", "removed")
    lab.reset("ipvs", "rr")
    assert lab.call("web", calls=6, every_s=0.0).answers == dict.fromkeys(
        ("default/web-1", "default/web-2", "default/web-3"), 2
    )
