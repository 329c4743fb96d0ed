import threading
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import chart_samples as samples
import pytest
from clusters import cluster_of
from hypothesis import given
from hypothesis import strategies as st

from labkit.chart.control_room import control_room
from labkit.chart.control_room_chart import rounds_alt, rounds_svg
from labkit.chart.control_room_deeds import Deed, switch
from labkit.chart.control_room_state import (
    ROUNDS_FOR_SHARES,
    ROUNDS_KEPT,
    Round,
    endpoints_of,
    next_round,
    pod_looks,
    service_names,
    shares_of,
)
from labkit.chart.control_room_traffic import SteadyTraffic
from labkit.errors import RequestError
from labkit.measure.targets import find_service_target
from labkit.spec.cluster import read_manifests
from labkit.spec.manifest import shipped_labs
from labkit.spec.podstates import PodState, with_pod_states

SVG = "{http://www.w3.org/2000/svg}"
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
VALUES = WORDS | st.integers() | st.dictionaries(WORDS, st.integers(), max_size=3)


class Recorder:
    """A lab that only notes what is called."""

    def __getattr__(self, method):
        return lambda *given, **named: (method, given, named)


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from(["client", "weights"]), VALUES))
def test_the_line_of_python_does_what_the_deed_does(given, named):
    deed = Deed("measure", tuple(given), tuple(named.items()))
    assert eval(deed.python, {"lab": Recorder()}) == deed.do(Recorder())


def test_switch_names_scheduler_and_weights_for_ipvs_only():
    assert switch("iptables", "wrr", {"web-1": 3}).python == 'lab.switch("iptables")'
    assert switch("ipvs", "rr", {}).python == 'lab.switch("ipvs", "rr")'
    assert switch("ipvs", "wrr", {"web-1": 3}).python == 'lab.switch("ipvs", "wrr", weights={"web-1": 3})'


@pytest.mark.parametrize("name", shipped_labs())
def test_service_names_are_names_that_measure_knows(name):
    cluster = read_manifests([name])
    for service, pods in service_names(cluster).items():
        assert find_service_target(cluster, service).pods == pods


def test_service_names_are_as_short_as_can_be():
    assert list(service_names(read_manifests(["web"]))) == ["web"]
    assert set(service_names(read_manifests(["shop"]))) >= {"shop:80", "kube-system/names:53/UDP", "cart"}


def test_shares_are_those_of_the_last_rounds():
    old = [Round(n, "ipvs rr", {"a": 100}, 0, 1.0, 1.0) for n in range(20)]
    new = [Round(n, "ipvs rr", {"b": 3, "c": 1}, 0, 1.0, 1.0) for n in range(20, 20 + ROUNDS_FOR_SHARES)]
    assert shares_of([*old, *new], ["a", "b"]) == {"a": 0.0, "b": 0.75, "c": 0.25}
    assert shares_of([], ["a"]) == {}


def test_old_rounds_are_forgotten_and_numbers_go_on():
    rounds = ()
    for _ in range(ROUNDS_KEPT + 5):
        rounds = next_round(rounds, samples.run("rr"))
    assert (len(rounds), rounds[-1].number) == (ROUNDS_KEPT, ROUNDS_KEPT + 5)


def test_pods_look_as_their_endpoints_are_unless_they_are_dead():
    written = read_manifests(["web"])
    keys = [pod.key for pod in written.pods]
    states = [PodState(is_ready=False), PodState(is_terminating=True), PodState(is_removed=True)]
    now = with_pod_states(written, dict(zip(keys, states, strict=False)))
    looks = pod_looks(now, {}, endpoints_of(written))
    assert [looks[key] for key in keys] == ["not ready", "terminating", "removed", "ready"]
    assert pod_looks(now, {keys[2]: "refuses"}, endpoints_of(written))[keys[2]] == "refuses"


def test_rounds_are_drawn_and_named_where_the_algorithm_changes():
    rounds = [
        Round(n, "ipvs rr" if n > 30 else "iptables random", {"a": 9}, n % 3, 900.0, 1500.0)
        for n in range(1, 50)
    ]
    drawn = ET.fromstring(rounds_svg(rounds))
    written = ["".join(text.itertext()) for text in drawn.iter(f"{SVG}text")]
    assert {"ipvs rr", "iptables random", "failed"} <= set(written)
    assert drawn.findtext(f"{SVG}desc") == rounds_alt(rounds)
    assert rounds_alt(rounds) == "Round 49, ipvs rr: 9 connections answered, median 900 µs, 1 failed."


@pytest.mark.parametrize("rounds", [[], [Round(1, "ipvs rr", {}, 40, None, None)]])
def test_rounds_without_an_answer_are_drawn_too(rounds):
    ET.fromstring(rounds_svg(rounds))


def test_a_lab_without_services_has_no_control_room():
    bare = SimpleNamespace(cluster=cluster_of(pods=1, nodes=1))
    with pytest.raises(RequestError, match="no Service to call"):
        control_room(bare)


def test_traffic_goes_on_until_it_is_stopped():
    third, ended, seen = threading.Event(), [], []

    def note(number):
        seen.append(number)
        if len(seen) == 3:
            third.set()

    traffic = SteadyTraffic(lambda: len(seen), note, ended.append)
    traffic.start()
    assert third.wait(30)
    traffic.stop()
    assert not traffic.is_running
    assert ended == [None]
    assert seen == list(range(len(seen)))


def test_traffic_that_cannot_be_sent_ends_and_says_why():
    said, ended = [], threading.Event()

    def fail():
        raise RequestError("this lab is closed")

    def end(why):
        said.append(why)
        ended.set()

    traffic = SteadyTraffic(fail, print, end)
    traffic.start()
    assert ended.wait(30)
    traffic.stop()
    assert "this lab is closed" in str(said[0])
