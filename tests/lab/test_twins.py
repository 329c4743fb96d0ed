"""The twins make the kernel's own choices, ties included, for random servers, weights and changes."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.algorithms import SCHEDULERS, Connection, RealServer, VirtualServer
from labkit.algorithms.chance import choice_chances
from labkit.algorithms.hashing import MaglevHashing, SourceHashing
from labkit.fabric.namespace import Namespace
from labkit.measure.distribution import chi_square_p
from labkit.measure.scheduled import REAL_PORT, Scheduled, prepare_namespace, real_address
from labkit.proxy.program import available_schedulers

CLIENTS = [f"10.2.{number % 7}.{number * 11 % 250 + 1}" for number in range(40)]
TURNS = ("rr", "wrr", "fo", "dh", "sh", "mh")
COUNTS = ("lc", "wlc", "sed", "nq", "ovf", "lblc", "lblcr")
FALLBACK, PORT_FLAG = 0x8, 0x10  # IP_VS_SVC_F_SCHED1 and 2: sh-fallback, sh-port, mh-fallback, mh-port
EXAMPLES = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

weights = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.integers(0, len(CLIENTS) - 1), st.integers(1, 6)),
        st.tuples(st.just("add"), weights, st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("weight"), st.integers(0, 9), weights),
        st.tuples(st.just("close"), st.integers(0, 9), st.just(0)),
    ),
    max_size=14,
)


@pytest.fixture
def namespace():
    with Namespace.create("twins") as made:
        prepare_namespace(made, CLIENTS)
        yield made


class Pair:
    """A kernel's virtual server and its twin, to which the same happens."""

    def __init__(self, kernel: Scheduled, twin: VirtualServer, ports: count) -> None:
        self.kernel, self.twin = kernel, twin
        self._names = (f"web-{number}" for number in count(1))
        self._ports = ports

    def add(self, weight: int) -> None:
        name = next(self._names)
        self.kernel.add(name, weight)
        self.twin.add(RealServer(name, real_address(name), REAL_PORT, weight))

    def perform(self, step: tuple[str, int, int]) -> None:
        what, number, other = step
        if what == "connect":
            for _ in range(other):
                self.choose(CLIENTS[number])
        elif what == "add":
            self.add(number)
        elif self.twin.servers:
            name = self.twin.servers[number % len(self.twin.servers)].name
            if what == "remove":
                self.kernel.remove(name)
                self.twin.remove(name)
            elif what == "weight":
                self.kernel.set_weight(name, other)
                self.twin.set_weight(name, other)
            else:
                self.kernel.close_one(name)

    def choose(self, client: str) -> str | None:
        """Let both choose and compare; the twin is told the connections that the kernel counts."""
        connection = Connection(client, next(self._ports))
        before = self.kernel.counts()
        for server in self.twin.servers:
            server.active, server.inactive = before[server.name]
        expected = self.twin.choose(connection)
        chosen = (
            self.kernel.choose_by_connecting(connection)
            if self.kernel.protocol == "TCP"
            else self.kernel.choose_by_datagram(connection)
        )
        state = [(one.name, one.weight, one.active, one.inactive) for one in self.twin.servers]
        assert chosen == (expected and expected.name), state
        return chosen


PORTS = count(10_000)


def run_both(namespace, protocol, twin, flags, first_weights, happening):
    with Scheduled(namespace, twin.scheduler.name, protocol, flags) as kernel:
        pair = Pair(kernel, twin, PORTS)
        for weight in first_weights:
            pair.add(weight)
        for step in (*happening, *(("connect", number, 2) for number in range(0, len(CLIENTS), 9))):
            pair.perform(step)


def test_there_is_a_twin_of_every_scheduler_of_the_guest(namespace):
    assert set(available_schedulers(namespace)) <= set(SCHEDULERS)


@pytest.mark.parametrize("name", TURNS)
@EXAMPLES
@given(first_weights=st.lists(weights, max_size=7), happening=steps)
def test_a_scheduler_that_counts_nothing(namespace, name, first_weights, happening):
    run_both(namespace, "UDP", VirtualServer(name), 0, first_weights, happening)


@pytest.mark.parametrize("name", COUNTS)
@EXAMPLES
@given(first_weights=st.lists(weights, max_size=6), happening=steps)
def test_a_scheduler_that_counts_connections(namespace, name, first_weights, happening):
    run_both(namespace, "TCP", VirtualServer(name), 0, first_weights, happening)


@pytest.mark.parametrize("twin", [SourceHashing, MaglevHashing])
@pytest.mark.parametrize(("with_port", "falls_back"), [(True, False), (False, True), (True, True)])
@settings(EXAMPLES, max_examples=4)
@given(first_weights=st.lists(weights, max_size=6), happening=steps)
def test_flags_of_hashing(namespace, twin, with_port, falls_back, first_weights, happening):
    flags = PORT_FLAG * with_port + FALLBACK * falls_back
    virtual = VirtualServer(twin(with_port=with_port, falls_back=falls_back))
    run_both(namespace, "UDP", virtual, flags, first_weights, happening)


@pytest.mark.parametrize("given_weights", [(1, 1, 1), (5, 3, 1), (1, 8, 0, 2)])
def test_twos_draws_by_its_chances(namespace, given_weights):
    if "twos" not in available_schedulers(namespace):
        pytest.skip("the packaged guest has no twos")
    with Scheduled(namespace, "twos", "UDP") as kernel:
        twin = VirtualServer("twos")
        for number, weight in enumerate(given_weights, 1):
            name = f"web-{number}"
            kernel.add(name, weight)
            twin.add(RealServer(name, real_address(name), weight=weight))
        chosen: Counter[str | None] = Counter()
        expected: Counter[str] = Counter()
        for _ in range(1500):
            for server in twin.servers:  # datagrams' connections are inactive, and stay
                server.inactive = chosen[server.name]
            chances = choice_chances(twin.servers)
            expected.update({server.name: float(chance) for server, chance in chances.items()})
            chosen[kernel.choose_by_datagram(Connection(CLIENTS[0], next(PORTS)))] += 1
    observed = {name: chosen[name] for name in expected if expected[name]}
    assert sum(observed.values()) == 1500
    # A draw's chances depend on the draws before it; their sum varies no more than independent draws' would.
    shares = {name: total / 1500 for name, total in expected.items() if total}
    assert chi_square_p(observed, shares) > 1e-6


def test_sed_and_nq_give_every_datagram_to_one_server(namespace):
    """IPVS counts all of UDP as inactive, and these two look at active connections only."""
    for name in ("sed", "nq"):
        with Scheduled(namespace, name, "UDP") as kernel:
            for number in (1, 2, 3):
                kernel.add(f"web-{number}", 1)
            connections = [Connection(client, next(PORTS)) for client in CLIENTS]
            asked = {kernel.choose_by_datagram(one) for one in connections}
        assert asked == {"web-3"}


def test_a_real_server_that_comes_back_soon_still_counts_its_old_connections(namespace):
    """IPVS keeps a removed one on a list, with its connections, as long as it has any."""
    with Scheduled(namespace, "lc", "UDP") as kernel:
        kernel.add("web-1", 1)
        for _ in range(7):
            kernel.choose_by_datagram(Connection(CLIENTS[0], next(PORTS)))
        kernel.remove("web-1")
        kernel.add("web-1", 1)
        assert kernel.counts() == {"web-1": (0, 7)}
