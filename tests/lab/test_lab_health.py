"""Readiness probes and health check node ports, in the guest."""

import json
import threading

import pytest
from health_clusters import QUICK

from labkit import Lab
from labkit.spec.model import Probe
from labkit.spec.text import Text
from labkit.traffic.prober import probe_once


@pytest.fixture(scope="module")
def lab():
    with Lab.open(Text("quick.yaml", QUICK)) as opened:
        yield opened


class Programming:
    """Waits until kube-proxy has been programmed for a cluster that fits."""

    def __init__(self, lab, monkeypatch):
        self.lab = lab
        self.changed = threading.Condition()
        original = lab._program

        def program():
            original()
            with self.changed:
                self.changed.notify_all()

        monkeypatch.setattr(lab, "_program", program)

    def wait_for(self, pod, *, ready):
        with self.changed:
            assert self.changed.wait_for(
                lambda: {one.name: one.ready for one in self.lab.cluster.pods}[pod] == ready, timeout=60
            )


@pytest.fixture
def programming(lab, monkeypatch):
    return Programming(lab, monkeypatch)


def health(lab, node):
    asked = lab.clients["outside"].command(["curl", "-si", "-m", "5", f"http://{node.address}:32000/healthz"])
    head, _, body = asked.stdout.replace("\r", "").partition("\n\n")
    return head.split()[1], json.loads(body)["localEndpoints"]


@pytest.mark.parametrize("death", ["refuses", "unreachable"])
def test_a_dead_pod_leaves_every_mode_s_tables_and_its_node_says_503(lab, programming, death):
    first, second = lab.cluster.nodes
    assert (health(lab, first), health(lab, second)) == (("200", 2), ("200", 1))
    lab.kill("web-2", death)  # the only one on its node
    programming.wait_for("web-2", ready=False)
    for mode in lab.modes:
        lab.switch(mode)
        seen = lab.call("web", calls=12, every_s=0.0, retries=0)
        assert (dict(seen.errors), set(seen.answers)) == ({}, {"default/web-1", "default/web-3"}), mode
        assert (health(lab, first), health(lab, second)) == (("200", 2), ("503", 0))
    lab.revive("web-2")
    programming.wait_for("web-2", ready=True)
    assert health(lab, second) == ("200", 1)
    lab.switch("ipvs", "rr")
    assert len(lab.call("web", calls=3, every_s=0.0).answers) == 3
    assert lab.trouble is None


def test_a_probe_asks_from_the_node_and_in_time(lab):
    node = lab.nodes["node-1"]
    address = lab._plan.pod("default/web-1").addresses[0].address
    assert probe_once(node, address, Probe("http", 8080, "/any"))
    assert probe_once(node, address, Probe("tcp", 8080))
    assert not probe_once(node, address, Probe("tcp", 8081))
    lab.backends.set_service_times({"default/web-1": 5000})
    try:
        assert not probe_once(node, address, Probe("http", 8080)), "an answer after 5 s is none within 1 s"
        assert probe_once(node, address, Probe("tcp", 8080)), "its socket still takes connections"
    finally:
        lab.backends.drop_queues()
        lab.backends.set_service_times({})


@pytest.mark.parametrize(
    ("status", "good"), [(199, False), (200, True), (399, True), (400, False), (503, False)]
)
def test_a_status_of_200_to_399_is_a_success(lab, status, good):
    import socket

    pod, node = lab.pods["web-3"], lab.nodes["node-1"]
    address = lab._plan.pod("default/web-3").addresses[0].address

    def answer(listener):
        accepted, _ = listener.accept()
        with accepted:
            asked.append(accepted.recv(4096).decode())
            accepted.sendall(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode())

    asked = []
    with pod.run(lambda: socket.create_server((address, 9999))) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        probe = Probe("http", 9999, "/ready?x=1", (("Host", "shop.test"), ("X-A", "b")))
        assert probe_once(node, address, probe) == good
        thread.join()
    head = asked[0].split("\r\n")
    assert head[0] == "GET /ready?x=1 HTTP/1.1"
    assert {"Host: shop.test", "X-A: b", "User-Agent: kube-probe/1.30"} <= set(head)
