"""What a retrying client sees when a pod dies, in every mode, a minute of it in a second.

The dying pod is dead from second 10.5 on; at 40.5 its endpoint is removed. One call a second: 30 calls fall
into that time. Of what chance decides (iptables, nftables), only what holds for any luck is said.
"""

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from labkit.outage import Outage, run_outages
from labkit.spec.events import Event
from labkit.traffic.retrying import CallPlan

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEAD = range(11, 41)  # seconds whose calls meet a dead pod
ONCE = CallPlan(calls=60, retries=0)
MODES = [("iptables", ""), ("nftables", ""), ("ipvs", "rr"), ("ipvs", "lc"), ("ipvs", "sh")]
DEATHS = ("refuses", "unreachable")
ERROR_OF = {"refuses": "refused", "unreachable": "timeout"}


def dies(pod, death):
    return Event(10.5, pod, death), Event(40.5, pod, "removed")


def run_each(outages):
    """Run outages by key; what a guest could not run is raised."""
    results = dict(zip(outages, run_outages(outages.values()), strict=True))
    for result in results.values():
        if isinstance(result, Exception):
            raise result
    return results


@pytest.fixture(scope="module")
def first_choices():
    return run_each(
        {
            (mode, scheduler, death): Outage.of(
                "dead-backend", mode=mode, scheduler=scheduler, plan=ONCE, events=dies("web-1", death)
            )
            for mode, scheduler in MODES
            for death in DEATHS
        }
    )


@pytest.fixture(scope="module")
def source_hashing():
    """Three minutes and more of one client whose pod dies."""
    plan = CallPlan(calls=200, retries=1)
    events = dies("web-1", "refuses")
    return run_each({"sh": Outage.of("dead-backend", scheduler="sh", plan=plan, events=events)})["sh"]


def failed_at(recovery):
    return [round(call.at_s) for call in recovery.calls if not call.is_answered]


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize(("mode", "scheduler"), MODES)
def test_calls_fail_from_the_death_to_the_removal_and_in_one_way(first_choices, mode, scheduler, death):
    recovery = first_choices[mode, scheduler, death]
    if scheduler == "sh":  # and after: see below
        assert set(failed_at(recovery)) >= set(DEAD)
        assert set(recovery.errors) <= {ERROR_OF[death], "refused"}
        return
    assert set(failed_at(recovery)) <= set(DEAD)
    assert set(recovery.errors) <= {ERROR_OF[death]}
    if (scheduler, death) != ("lc", "unreachable"):
        assert recovery.failed > 0


@pytest.mark.parametrize("death", DEATHS)
def test_round_robin_fails_every_third_call_and_needs_one_retry(first_choices, death):
    every_third = failed_at(first_choices["ipvs", "rr", death])
    assert [later - earlier for earlier, later in itertools.pairwise(every_third)] == [3] * 9
    plan = CallPlan(calls=60, retries=1)
    retried = run_each(
        {"rr": Outage.of("dead-backend", scheduler="rr", plan=plan, events=dies("web-1", death))}
    )
    assert retried["rr"].failed == 0


def test_source_hashing_fails_until_the_dead_pod_s_old_connections_are_forgotten(source_hashing):
    """Its endpoint goes at 40.5, but IPVS remembers a closed connection for two minutes.

    kube-proxy keeps a real server that has connections, at weight 0, and looks once a minute whether they
    have ended. sh still sends its clients there meanwhile, and none is taken. Some calls end as refused and
    some in silence: Linux answers an address with one "unreachable" a second at most.
    """
    failed = [number for number, call in enumerate(source_hashing.calls) if not call.is_answered]
    assert failed == list(range(11, failed[-1] + 1))
    assert 130 <= failed[-1] <= 181
    assert set(source_hashing.errors) == {"refused", "timeout"}


def test_least_connection_loves_whom_refuses_and_shuns_whom_is_silent(first_choices):
    """A refused connection leaves IPVS's table in 10 s, an answered one waits there for 2 minutes."""
    dead = {death: first_choices["ipvs", "lc", death].failed for death in DEATHS}
    fair = first_choices["ipvs", "rr", "refuses"].failed
    assert dead["unreachable"] < fair < dead["refuses"]


def test_a_probe_ends_the_trouble_without_anybody_s_help():
    """Period 5 s, two failures: a pod that dies at 11 is out after the probes of 15 and 20, back after 45."""
    events = Event(11.2, "web-1", "refuses"), Event(41.2, "web-1", "revived")
    results = run_each(
        {
            mode: Outage.of("readiness", mode=mode, plan=ONCE, events=events)
            for mode in ("iptables", "nftables", "ipvs")
        }
    )
    for mode, recovery in results.items():
        assert set(failed_at(recovery)) <= set(range(12, 21)), mode
        answered = Counter(call.attempts[-1].pod for call in recovery.calls if 21 <= round(call.at_s) <= 41)
        assert "default/web-1" not in answered, mode
        assert any(call.attempts[-1].pod == "default/web-1" for call in recovery.calls[42:]), mode
    assert failed_at(results["ipvs"])


# The client's port begins at names-1: names-2 comes later.
PINNED = (Event(0.0, "names-2", "removed"), Event(5.5, "names-2", "ready"))


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_a_udp_client_is_stuck_to_a_dead_pod_until_its_endpoint_goes(mode, death):
    outage = Outage.of("stale-udp", mode=mode, plan=ONCE, events=(*PINNED, *dies("names-1", death)))
    (recovery,) = run_each({mode: outage}).values()
    assert failed_at(recovery) == list(DEAD)
    assert {call.attempts[-1].pod for call in recovery.calls[41:]} == {"default/names-2"}


DRAINED = """
import sys
from labkit import Lab
from labkit.spec.events import Event
with Lab.open("draining", mode=sys.argv[1]) as lab:
    with lab.happening(Event(1.0, "web-1", sys.argv[2])):
        begun = lab.measure("web", connections=12, concurrency=12, timeout_s=60)
    later = lab.measure("web", connections=12, timeout_s=60)
print(begun.answers["default/web-1"], sum(begun.errors.values()), later.answers.get("default/web-1", 0))
"""


@pytest.mark.parametrize("state", ["terminating", "removed"])
@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_open_connections_outlive_their_endpoint_and_new_ones_pass_it_by(mode, state):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "labkit",
            "exec",
            "--virtual-time",
            "--",
            sys.executable,
            "-c",
            DRAINED,
            mode,
            state,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    begun, errors, later = map(int, done.stdout.split())
    assert (errors, later) == (0, 0)
    assert begun > 0
