"""How networks are built and removed: what is left after each way in which that can end."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import answered_from, cluster_of, cluster_with

from labkit.errors import BuildError, CapabilityError
from labkit.fabric.build import build_network
from labkit.fabric.namespace import Namespace
from labkit.spec.addressing import AddressPlan, ClientPlan, plan_addresses
from labkit.spec.addressplan import Address, NamespacePlan
from labkit.spec.model import Node, Pod

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_closed_network_leaves_nothing_and_may_be_built_again():
    plan = plan_addresses(cluster_of(4))
    for _ in range(2):
        with build_network(plan) as network:
            network.pod("default/web-0").start(["sleep", "1000"], stdout=None, stderr=None)
            network.pod("default/web-1").run(os.getpid)


def test_no_first_packet_needs_arp():
    plan = plan_addresses(cluster_of(4), [ClientPlan("near", "node-2"), ClientPlan("far")])
    with build_network(plan) as network:
        for client in ("near", "far"):
            for pod in ("default/web-0", "default/web-1"):
                source = plan.clients[client].addresses[7]
                assert answered_from(network, network.pod(pod), network.client(client), source) == source
        for namespace in network.namespaces.values():
            neighbours = json.loads(namespace.command(["ip", "-j", "neigh"]).stdout)
            assert {state for entry in neighbours for state in entry["state"]} <= {"PERMANENT"}, (
                namespace.name
            )


def test_pods_and_nodes_outside_of_the_usual_networks_are_reached():
    cluster = cluster_with(
        [Node("inside", "172.18.0.2", "10.244.1.0/24"), Node("elsewhere", "192.168.7.5", "10.244.2.0/24")],
        [Pod("default", "odd", "inside", "10.9.8.7"), Pod("shop", "even", "elsewhere", "10.244.2.2")],
    )
    with build_network(plan_addresses(cluster)) as network:
        odd, even = network.pod("default/odd"), network.pod("shop/even")
        assert (odd.name, even.name) == ("odd", "shop.even")
        for client in (even, network.client("client"), network.client("outside"), network.node("elsewhere")):
            own = network.plan.namespace(client.name).addresses[0].address
            assert answered_from(network, odd, client) == own
        assert (
            answered_from(network, network.node("elsewhere"), network.client("outside")) == "172.18.255.128"
        )
        assert answered_from(network, even, network.node("inside")) == "172.18.0.2"


def test_a_network_of_a_hundred_pods_is_built_and_progress_told():
    told = []
    plan = plan_addresses(cluster_of(100, nodes=3))
    with build_network(
        plan, on_progress=lambda *now: told.append((*now, threading.current_thread()))
    ) as network:
        answered_from(network, network.pod("default/web-99"), network.pod("default/web-1"))
    done = [count for count, _, _, _ in told]
    assert done == sorted(done)
    assert told[-1][:2] == (106, 106)  # the lan, three nodes, two clients
    assert {thread for *_, thread in told} == {threading.main_thread()}


def with_wrong_address(plan: AddressPlan, name: str) -> AddressPlan:
    """Return the plan with one address twice in the namespace `name`: the kernel refuses the second."""
    wrong = plan.namespace(name)
    twice: tuple[Address, ...] = (*wrong.addresses, wrong.addresses[0])
    changed = tuple(replace(n, addresses=twice) if n is wrong else n for n in plan.namespaces)
    return replace(plan, namespaces=changed)


def test_a_refusal_half_way_is_named_and_leaves_nothing():
    plan = plan_addresses(cluster_of(40))
    with pytest.raises(BuildError, match=r"refused to add 10\.244\.2\.20/24 to eth0: File exists") as caught:
        build_network(with_wrong_address(plan, "web-37"))
    assert caught.value.where == "network namespace web-37"


def test_a_taken_name_leaves_the_other_lab_alone_and_nothing_else():
    with Namespace.create("web-1") as other:
        with pytest.raises(BuildError, match="called web-1 already"):
            build_network(plan_addresses(cluster_of(4)))
        assert other.command(["ip", "link"]).status == 0


def test_a_missing_setting_says_where_and_what_to_do():
    plan = plan_addresses(cluster_of(2))
    node = plan.node("node-2")
    changed = replace(node, sysctls=(*node.sysctls, ("net/bridge/bridge-nf-call-nothing", "1")))
    with pytest.raises(CapabilityError, match="bridge-nf-call-nothing") as caught:
        build_network(replace(plan, namespaces=tuple(changed if n is node else n for n in plan.namespaces)))
    assert caught.value.where == "network namespace node-2"
    assert caught.value.todo == "load its module: modprobe br_netfilter"


def test_an_error_of_the_progress_display_leaves_nothing():
    def fail(done: int, total: int, name: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build_network(plan_addresses(cluster_of(4)), on_progress=fail)


def without_addresses(plan: AddressPlan, name: str) -> AddressPlan:
    """Return the plan with the interface of `name` never switched on."""
    idle = NamespacePlan(name, "pod")
    return replace(plan, namespaces=tuple(idle if n.name == name else n for n in plan.namespaces))


def test_a_port_that_forwards_late_is_waited_for():
    late = []

    def switch_on_at_the_end(done: int, total: int, name: str) -> None:
        if done == total:
            late.append(subprocess.Popen(["ip", "-n", "web-1", "link", "set", "eth0", "up"]))

    with build_network(
        without_addresses(plan_addresses(cluster_of(4)), "web-1"), on_progress=switch_on_at_the_end
    ) as network:
        assert late[0].wait() == 0
        ports = json.loads(network.node("node-2").command(["bridge", "-j", "link"]).stdout)
        assert {port["state"] for port in ports} == {"forwarding"}


def test_a_port_that_never_forwards_is_an_error(monkeypatch):
    def see_that_it_has_no_carrier(done: int, total: int, name: str) -> None:
        # A new port forwards until the kernel has seen that nobody is at its other end.
        while done == total and set(states("node-2")) == {"forwarding"}:
            assert time.monotonic() < deadline, states("node-2")

    monkeypatch.setattr("labkit.fabric.build.READY_TIMEOUT_S", 0.05)
    plan, deadline = without_addresses(plan_addresses(cluster_of(4)), "web-1"), time.monotonic() + 30
    with pytest.raises(BuildError, match="1 of 2 bridge ports do not forward") as caught:
        build_network(plan, on_progress=see_that_it_has_no_carrier).close()
    assert caught.value.where == "network namespace node-2"


def states(node: str) -> list[str]:
    """Return the states of a node's bridge ports."""
    shown = subprocess.check_output(["bridge", "-n", node, "-j", "link"])
    return [port["state"] for port in json.loads(shown)]


@pytest.mark.parametrize("spare", [3, 25, 26, 27, 28])
def test_too_few_open_files_say_so_and_leave_nothing(spare):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + spare, hard))
    try:
        with pytest.raises(BuildError, match="Too many open files") as caught:
            build_network(plan_addresses(cluster_of(40)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in caught.value.todo


INTERRUPTED = """
import os, signal, threading
from clusters import cluster_of
from labkit.fabric import build
from labkit.fabric.namespace import Namespace
from labkit.spec.addressing import plan_addresses

made = 0
make = Namespace.from_new_network.__func__

def interrupt_after_some(cls, name):
    global made
    made += 1
    if made == {count}:
        os.kill(os.getpid(), signal.SIGINT)
    return make(cls, name)

Namespace.from_new_network = classmethod(interrupt_after_some)
try:
    with build.build_network(plan_addresses(cluster_of(40))):
        pass
except KeyboardInterrupt:
    print("interrupted", made, sorted(os.listdir("/run/netns")), threading.active_count())
"""


@pytest.mark.parametrize("count", [1, 2, 20, 45])
def test_an_interrupt_while_it_is_built_leaves_nothing(count):
    program = INTERRUPTED.format(count=count)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "tests"},
    )
    assert ended.stdout.startswith("interrupted"), ended.stderr
    assert ended.stdout.rstrip().endswith("[] 1")


def test_an_interrupt_while_it_is_closed_comes_after_the_closing(monkeypatch):
    network = build_network(plan_addresses(cluster_of(4)))
    close, arrived = Namespace.close, threading.Event()

    def interrupt(*_: object) -> None:
        arrived.set()
        raise KeyboardInterrupt

    def interrupted(self: Namespace) -> None:
        if self.name == "node-1":
            os.kill(os.getpid(), signal.SIGINT)
            arrived.wait()
        close(self)

    monkeypatch.setattr(Namespace, "close", interrupted)
    usual = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            network.close()
    finally:
        signal.signal(signal.SIGINT, usual)
    assert all("closed" in repr(namespace) for namespace in network.namespaces.values())
