"""The schedulers' twins and the simulator: what must hold for any servers."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.algorithms import SCHEDULERS, Connection, RealServer, VirtualServer, simulate
from labkit.algorithms.chance import choice_chances, drawing_chances
from labkit.algorithms.hashing import MAGLEV_SIZE, keyed_hash, maglev_table
from labkit.errors import RequestError

positive = st.lists(st.integers(1, 30), min_size=1, max_size=8)
SLOW = settings(deadline=None, max_examples=30)
CLIENTS = [Connection(f"10.244.{number // 250}.{number % 250 + 1}", 40_000 + number) for number in range(500)]


def servers_of(weights):
    return [
        RealServer(f"pod-{number}", f"10.244.9.{number + 1}", 8080, w) for number, w in enumerate(weights)
    ]


def chosen(virtual, times):
    return Counter(virtual.choose(CLIENTS[number % len(CLIENTS)]).name for number in range(times))


@given(positive, st.integers(1, 5))
def test_round_robin_is_even_after_every_round(weights, rounds):
    virtual = VirtualServer("rr", servers_of(weights))
    assert set(chosen(virtual, rounds * len(weights)).values()) == {rounds}


@given(positive)
def test_weighted_round_robin_gives_each_its_weight_in_a_whole_round(weights):
    virtual = VirtualServer("wrr", servers_of(weights))
    answers = chosen(virtual, sum(weights))
    assert answers == {f"pod-{number}": weight for number, weight in enumerate(weights)}


@SLOW
@given(st.sampled_from(sorted(SCHEDULERS)), st.lists(st.integers(0, 4), max_size=6), st.data())
def test_a_server_without_weight_gets_nothing_from_any_ipvs_scheduler(name, weights, data):
    virtual = VirtualServer(name, servers_of(weights))
    for server in virtual.servers:
        server.active = data.draw(st.integers(0, 9))
    for connection in CLIENTS[:20]:
        server = virtual.choose(connection)
        assert server is None or server.weight > 0 or name == "random"
        if not any(weights):
            assert server is None or name == "random"


@pytest.mark.parametrize("name", ["sh", "mh", "dh"])
@SLOW
@given(weights=positive)
def test_hashing_gives_a_client_the_same_server_again(name, weights):
    virtual = VirtualServer(name, servers_of(weights))
    first = [virtual.choose(connection) for connection in CLIENTS[:50]]
    assert [virtual.choose(connection) for connection in CLIENTS[:50]] == first


@SLOW
@given(positive)
def test_maglev_places_are_shared_out_by_weight(weights):
    places = Counter(server.name for server in maglev_table(servers_of(weights)))
    assert sum(places.values()) == MAGLEV_SIZE
    for number, weight in enumerate(weights):
        assert abs(places[f"pod-{number}"] - MAGLEV_SIZE * weight / sum(weights)) <= max(weights)


def test_few_clients_move_when_a_server_leaves_maglev_and_most_do_in_plain_hashing():
    moved = {}
    for name in ("mh", "sh"):
        virtual = VirtualServer(name, servers_of([1] * 10))
        before = {connection: virtual.choose(connection).name for connection in CLIENTS}
        virtual.remove("pod-4")
        after = {connection: virtual.choose(connection).name for connection in CLIENTS}
        stayed = [connection for connection, owner in before.items() if owner != "pod-4"]
        moved[name] = sum(before[one] != after[one] for one in stayed) / len(stayed)
    assert moved["mh"] < 0.1 < 0.5 < moved["sh"]


def test_the_keyed_hash_is_siphash_1_3():
    """CPython hashes bytes with the same function, and with a key of zeros where PYTHONHASHSEED is 0."""
    numbers = [0, 1, 0x0A020001, 0xFFFFFFFF, 2654435761]
    program = f"print(*(hash(number.to_bytes(4, 'little')) & 0xFFFFFFFF for number in {numbers}))"
    python = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sys.hash_info.algorithm == "siphash13"
    assert [keyed_hash(number, 0) for number in numbers] == [int(word) for word in python.stdout.split()]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_twos_chances_add_up_and_favour_the_idle(weights, data):
    servers = servers_of(weights)
    for server in servers:
        server.active = data.draw(st.integers(0, 3))
    drawn, chances = drawing_chances(servers), choice_chances(servers)
    assert sum(drawn.values()) == sum(chances.values()) == Fraction(1)
    idlest = min(servers, key=lambda server: server.load)
    assert chances[idlest] >= drawn[idlest]


@SLOW
@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=60).map(sorted),
    st.lists(st.sampled_from([1.0, 5.0, 40.0]), min_size=1, max_size=4),
    st.sampled_from(sorted(set(SCHEDULERS) - {"ovf"})),
)
def test_waiting_follows_the_lindley_recursion(times_s, service_ms, scheduler):
    servers = servers_of([1] * len(service_ms))
    takes = {server.name: ms for server, ms in zip(servers, service_ms, strict=True)}
    arrivals = [(at_s, CLIENTS[number]) for number, at_s in enumerate(times_s)]
    served = simulate(VirtualServer(scheduler, servers), arrivals, takes)
    for name, ms in takes.items():
        waiting_s, before = 0.0, None
        for one in (one for one in served if one.server == name):
            if before is not None:
                waiting_s = max(0.0, waiting_s + ms / 1000 - (one.arrived_s - before.arrived_s))
            assert one.begun_s - one.arrived_s == pytest.approx(waiting_s, abs=1e-9)
            assert one.latency_ms == pytest.approx((waiting_s + ms / 1000) * 1000, abs=1e-6)
            before = one


def test_near_saturation_least_connection_beats_round_robin_by_far():
    def p99_ms(scheduler):
        lots = random.Random(7)
        at_s, arrivals = 0.0, []
        for number in range(3600):
            at_s += lots.expovariate(60)
            arrivals.append((at_s, CLIENTS[number % 64]))
        takes = {"pod-0": 5.0, "pod-1": 10.0, "pod-2": 40.0}
        served = simulate(VirtualServer(scheduler, servers_of([1, 1, 1])), arrivals, takes)
        return sorted(one.latency_ms for one in served)[int(0.99 * len(served))]

    assert p99_ms("lc") < 0.6 * p99_ms("rr")


def test_what_cannot_be_is_refused():
    with pytest.raises(RequestError, match="no scheduler is called 'wlcc'"):
        VirtualServer("wlcc")
    virtual = VirtualServer("rr", servers_of([1]))
    with pytest.raises(RequestError, match="is there already"):
        virtual.add(RealServer("pod-0", "10.244.9.9"))
    with pytest.raises(RequestError, match="no real server is called 'pod-7'"):
        virtual.remove("pod-7")
    with pytest.raises(RequestError, match="a weight of -1"):
        virtual.set_weight("pod-0", -1)
    with pytest.raises(RequestError, match="no service time for pod-0"):
        simulate(virtual, [], {})
    with pytest.raises(RequestError, match="comes at 1 s, after one at 2 s"):
        simulate(virtual, [(2, CLIENTS[0]), (1, CLIENTS[1])], {"pod-0": 1})
