"""Pods that answer and clients that ask, over real sockets in real namespaces."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from traffic_lab import PODS, traffic_lab

from labkit.errors import RequestError, TrafficError
from labkit.fabric.namespace import Namespace
from labkit.traffic.answer import read_answer
from labkit.traffic.backend import PodPorts, build_backends, plan_pod_ports
from labkit.traffic.flow import Target
from labkit.traffic.flows import send_flows
from labkit.traffic.workload import FlowPlan, Workload, plan_flows

PROTOCOLS = (("TCP", 8080), ("UDP", 5353))
GET = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"


@pytest.fixture(scope="module")
def lab():
    with traffic_lab() as lab:
        yield lab


@pytest.fixture(autouse=True)
def _fresh(request):
    yield
    if "lab" in request.fixturenames:
        backends = request.getfixturevalue("lab").backends
        backends.drop_queues()
        backends.set_service_times({})


def send(lab, pod="default/web-0", protocol="TCP", **fields):
    workload = Workload(**{"connections": 8, "clients": 4, **fields})
    port = dict(PROTOCOLS)[protocol]
    target = Target(lab.address_of(pod), port, protocol)
    return send_flows(lab.client, target, workload, plan_flows(workload, 3, lab.addresses))


def talk(lab, data, *, half_close=True, pod="default/web-0"):
    """Send `data` to a pod over one connection and return all that comes back."""

    def connect():
        return socket.create_connection((lab.address_of(pod), 8080), timeout=20)

    with lab.client.run(connect) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_pods_answer_where_slices_and_containers_say(lab):
    assert [(one.pod, one.ports) for one in plan_pod_ports(lab.cluster)] == [(pod, PROTOCOLS) for pod in PODS]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("pod", PODS)
def test_every_pod_says_who_it_is_and_whom_it_sees(lab, pod, protocol):
    outcomes = send(lab, pod, protocol)
    assert [outcome.number for outcome in outcomes] == list(range(8))
    assert {outcome.pod for outcome in outcomes} == {pod}
    assert [outcome.peer for outcome in outcomes] == [outcome.client for outcome in outcomes]
    assert {outcome.client.partition(":")[0] for outcome in outcomes} == set(lab.addresses[:4])
    assert all(outcome.response_us > 0 and outcome.error is None for outcome in outcomes)
    assert all((outcome.connect_us is None) == (protocol == "UDP") for outcome in outcomes)


def test_no_source_port_comes_twice(lab):
    seen = [outcome.client for protocol in ("TCP", "UDP") * 3 for outcome in send(lab, protocol=protocol)]
    assert len(seen) == len(set(seen)) == 48


def test_curl_gets_a_line_for_each_request_of_a_connection(lab):
    url = f"http://{lab.address_of('default/web-1')}:8080/"
    done = lab.client.command(["curl", "--silent", "--fail", url + "a", url + "b", "--data", "x=1"])
    answers = [read_answer(line.encode()) for line in done.stdout.splitlines()]
    assert [answer.pod for answer in answers] == ["default/web-1"] * 2
    assert answers[0].peer == answers[1].peer, "it was one connection"
    assert answers[0].address == f"{lab.address_of('default/web-1')}:8080"


def test_whatever_is_not_http_is_answered_at_its_end(lab):
    assert read_answer(talk(lab, b"hello")).pod == "default/web-0"


def test_old_http_is_closed_after_its_answer(lab):
    answer = talk(lab, b"GET / HTTP/1.0\r\n\r\n", half_close=False)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_two_thousand_requests_at_once_are_all_answered(lab):
    assert talk(lab, GET * 2000).count(b"HTTP/1.1 200 OK\r\n") == 2000


def test_a_client_that_reads_late_gets_everything_and_holds_up_nobody(lab):
    def connect():
        return socket.create_connection((lab.address_of("default/web-0"), 8080), timeout=20)

    with lab.client.run(connect) as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        late.sendall(GET * 1500)
        late.shutdown(socket.SHUT_WR)
        assert talk(lab, GET).startswith(b"HTTP/1.1 200 OK")
        answers = b"".join(iter(lambda: late.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 1500


def test_a_client_that_says_nothing_gets_nothing(lab):
    assert talk(lab, b"") == b""


def test_a_datagrams_first_word_comes_back(lab):
    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(b"flow-17 and more", (lab.address_of("default/web-0"), 5353))
            return client.recv(1000)

    assert read_answer(lab.client.run(ask)).flow == "flow-17"


def test_requests_wait_for_the_one_before(lab):
    lab.backends.set_service_times({"default/web-0": 5.0})
    outcomes = send(lab, connections=10, concurrency=10)
    last_us = max(outcome.started_us + outcome.connect_us + outcome.response_us for outcome in outcomes)
    assert last_us >= 10 * 5000
    assert min(outcome.response_us for outcome in outcomes) >= 5000
    assert all(outcome.error is None for outcome in outcomes)


def test_tcp_and_udp_share_the_queue_of_a_pod(lab):
    lab.backends.set_service_times({"*": 100.0})
    began = time.monotonic()
    thread = threading.Thread(target=talk, args=(lab, GET))
    thread.start()
    (outcome,) = send(lab, protocol="UDP", connections=1)
    thread.join()
    assert outcome.error is None
    assert time.monotonic() - began >= 0.2


def test_service_times_may_change_while_it_runs(lab):
    lab.backends.set_service_times({"*": 20.0, "default/web-1": 0.0})
    assert min(outcome.response_us for outcome in send(lab, "default/web-2", connections=2)) >= 20_000
    lab.backends.set_service_times({"default/web-1": 20.0})
    assert min(outcome.response_us for outcome in send(lab, "default/web-1", connections=2)) >= 20_000
    assert lab.backends.service_ms == {"default/web-1": 20.0}


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_flows_without_an_answer_in_time_are_given_up(lab, protocol):
    lab.backends.set_service_times({"*": 60_000.0})
    outcomes = send(lab, protocol=protocol, timeout_s=0.05)
    assert Counter(outcome.error for outcome in outcomes) == {"timeout": 8}
    assert {outcome.response_us for outcome in outcomes} == {None}
    lab.backends.set_service_times({})
    lab.backends.drop_queues()
    assert {outcome.error for outcome in send(lab, protocol=protocol)} == {None}


def test_open_loop_flows_start_when_they_are_meant_to(lab):
    fields = {"connections": 40, "arrivals": "poisson", "rate_per_s": 400.0, "clients": 4}
    plans = plan_flows(Workload(**fields), 3, lab.addresses)
    outcomes = send(lab, **fields)
    assert [outcome.started_us for outcome in outcomes] == pytest.approx(
        [plan.start_us for plan in plans], abs=0.01
    )
    assert all(outcome.connect_us >= 0 for outcome in outcomes)


def test_an_open_loop_shows_the_queue_that_a_closed_one_hides(lab):
    lab.backends.set_service_times({"*": 20.0})
    outcomes = send(lab, connections=20, arrivals="poisson", rate_per_s=1000.0)
    assert max(outcome.response_us for outcome in outcomes) >= 200_000
    assert max(outcome.started_us for outcome in outcomes) < 200_000


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_killed_pod_refuses_and_a_revived_one_answers(lab, protocol):
    lab.backends.kill("default/web-2")
    try:
        assert Counter(one.error for one in send(lab, "default/web-2", protocol)) == {"refused": 8}
        assert {one.pod for one in send(lab, "default/web-1", protocol)} == {"default/web-1"}
    finally:
        lab.backends.revive("default/web-2")
    assert {one.pod for one in send(lab, "default/web-2", protocol)} == {"default/web-2"}


def test_a_dying_pod_resets_its_connections(lab):
    lab.backends.set_service_times({"default/web-2": 60_000.0})

    def ask():
        return socket.create_connection((lab.address_of("default/web-2"), 8080), timeout=20)

    with lab.client.run(ask) as connection:
        connection.sendall(GET)
        lab.backends.kill("default/web-2")
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    lab.backends.revive("default/web-2")


def test_a_connection_that_breaks_off_counts_as_reset(lab):
    with lab.network.pod("default/web-0").run(lambda: socket.create_server(("", 9000))) as listener:

        def hang_up():
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        plans = [FlowPlan(number, lab.addresses[0]) for number in range(2)]
        target = Target(lab.address_of("default/web-0"), 9000)
        outcomes = send_flows(lab.client, target, Workload(connections=2), plans)
        thread.join()
    assert [outcome.error for outcome in outcomes] == ["reset", "reset"]
    assert all(outcome.connect_us for outcome in outcomes)


def test_answers_are_counted_by_pod(lab):
    before = lab.backends.answered()
    send(lab, "default/web-1", connections=5)
    send(lab, "default/web-1", "UDP", connections=3)
    after = lab.backends.answered()
    assert {pod: after[pod] - before[pod] for pod in PODS} == {PODS[0]: 0, PODS[1]: 8, PODS[2]: 0}


def test_progress_ends_with_all_flows(lab):
    calls = []
    workload = Workload(connections=30)
    target = Target(lab.address_of("default/web-0"), 8080)
    send_flows(
        lab.client, target, workload, plan_flows(workload, 1, lab.addresses), lambda *now: calls.append(now)
    )
    assert calls == sorted(calls)
    assert calls[-1] == (30, 30)


def test_an_interrupt_ends_it_at_once(lab):
    lab.backends.set_service_times({"*": 100.0})
    workload = Workload(connections=5000, concurrency=1, timeout_s=60)
    target = Target(lab.address_of("default/web-0"), 8080)
    plans = plan_flows(workload, 1, lab.addresses)
    last = []

    def interrupt(done, _total):
        last.append(done)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        send_flows(lab.client, target, workload, plans, interrupt)
    assert lab.client.run(lambda: True), "the client's thread is free again"
    assert last[-1] < 100


def test_unknown_pods_are_refused_by_name(lab):
    for order in (
        lab.backends.kill,
        lab.backends.revive,
        lambda pod: lab.backends.set_service_times({pod: 1.0}),
    ):
        with pytest.raises(RequestError, match="default/wbe-0") as caught:
            order("default/wbe-0")
        assert "default/web-0" in caught.value.todo


def test_a_client_that_cannot_send_says_why(lab):
    workload = Workload(connections=1)
    with pytest.raises(TrafficError, match=r"192\.0\.2\.9"):
        send_flows(lab.client, Target("10.244.1.2", 8080), workload, [FlowPlan(0, "192.0.2.9")])
    with Namespace.create("no-route") as namespace:
        namespace.command(["ip", "link", "set", "lo", "up"])
        with pytest.raises(TrafficError, match="unreachable") as caught:
            send_flows(namespace, Target("10.244.1.2", 8080, "UDP"), workload, [FlowPlan(0, "127.0.0.1")])
    assert "ip route" in caught.value.todo


@pytest.fixture
def lonely_pod():
    with Namespace.create("lonely") as namespace:
        namespace.command(["ip", "link", "set", "lo", "up"])
        yield PodPorts("default/lonely", "node-1", "127.0.0.1", (("TCP", 8080), ("UDP", 53))), namespace


@pytest.mark.usefixtures("nothing_left")
def test_a_taken_port_is_named_and_nothing_stays(lonely_pod):
    _, namespace = lonely_pod
    with (
        namespace.run(lambda: socket.create_server(("127.0.0.1", 8080))),
        pytest.raises(TrafficError, match="default/lonely cannot answer on port 8080/TCP"),
    ):
        build_backends([lonely_pod])


@pytest.mark.usefixtures("nothing_left")
def test_closed_backends_leave_nothing_and_say_so(lonely_pod):
    backends = build_backends([lonely_pod])
    backends.close()
    backends.close()
    with pytest.raises(TrafficError, match="closed"):
        backends.answered()


@pytest.mark.usefixtures("nothing_left")
def test_the_death_of_the_process_is_an_error_not_a_wait(lonely_pod):
    pod, namespace = lonely_pod
    with build_backends([lonely_pod]) as backends:
        backends.check()
        os.kill(backends.pid, signal.SIGKILL)
        os.waitid(os.P_PID, backends.pid, os.WEXITED | os.WNOWAIT)
        for ask in (backends.check, backends.answered, lambda: backends.kill(pod.pod)):
            with pytest.raises(TrafficError, match="died"):
                ask()
        outcomes = send_flows(
            namespace,
            Target("127.0.0.1", 8080),
            Workload(connections=2),
            [FlowPlan(n, "127.0.0.1") for n in range(2)],
        )
        assert [outcome.error for outcome in outcomes] == ["refused", "refused"]


def test_the_process_ends_with_whoever_started_it(lonely_pod):
    program = "import labkit.traffic.backend as b; print(b.Backends().pid, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        served = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert select.select([served], [], [], 20)[0], "it outlived its parent"
        finally:
            os.close(served)


def test_an_interrupt_of_the_session_does_not_end_the_process(lonely_pod):
    with build_backends([lonely_pod]) as backends:
        os.kill(backends.pid, signal.SIGINT)
        assert backends.answered() == {"default/lonely": 0}
        assert os.getsid(backends.pid) == backends.pid
