"""What ends by itself on a node: affinity in every mode, and the connections of a real server that drains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1]
LAB = """
import json, select, socket, sys, time
from dataclasses import replace
from labkit.fabric.build import build_network
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.model import ClusterSpec, Endpoint, Node, Pod
from labkit.spec.proxyconfig import ProxyConfig
from proxy_clusters import service, slice_of

PODS = [Pod("default", f"web-{i}", "node-1", f"10.244.1.{i + 2}") for i in range(2)]
ENDPOINTS = [Endpoint(pod.address, node=pod.node, pod=pod.key) for pod in PODS]
NODES = (Node("node-1", "172.18.0.2", "10.244.1.0/24"),)
WEB = service(affinity_timeout_s=AFFINITY_S)
CLUSTER = ClusterSpec(NODES, tuple(PODS), (WEB,), (slice_of(*ENDPOINTS),), "10.244.0.0/16", "10.96.0.0/12")

with build_network(plan_addresses(CLUSTER)) as network:
    proxier = Proxier(network.node("node-1"), "node-1", MODE, ProxyConfig(cluster_cidr="10.244.0.0/16"))
    proxier.sync(CLUSTER)
    listeners = [network.pod(pod.key).run(lambda: socket.create_server(("", 8080))) for pod in PODS]
    def connect():
        near = network.client("client").run(lambda: socket.create_connection(("10.96.0.10", 80), timeout=5))
        (ready, *_), _, _ = select.select(listeners, [], [], 5)
        return near, ready.accept()[0]
    def reset(near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        near.close()
        far.close()
    def answered():
        pair = connect()
        pod = pair[1].getsockname()[0]
        reset(*pair)
        return pod
    print(json.dumps(SCRIPT))
"""


def run(script, mode, affinity_s):
    """Return what the expression or function `script` gives in a lab whose time is virtual."""
    given = {"AFFINITY_S": repr(affinity_s), "MODE": repr(mode), "SCRIPT": script}
    text = LAB
    for name, value in given.items():
        text = text.replace(name, value)
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "exec", "--virtual-time", "--", sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"},
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_affinity_lasts_as_long_as_it_should_and_no_longer(mode):
    # Each connection renews it: 40 s apart it holds for ever, with a pause of minutes it is forgotten.
    kept, forgotten = run(
        "[[(time.sleep(wait_s), answered())[1] for _ in range(24)] for wait_s in (40, 400)]", mode, 60
    )
    assert len(set(kept)) == 1
    assert len(set(forgotten)) == 2


def test_a_drained_real_server_goes_at_the_first_look_after_its_last_connection():
    looks = run(
        """[
        [(near := connect()), (other := connect())] and bool(proxier.sync(replace(CLUSTER, slices=()))),
        len(proxier.draining),
        [(time.sleep(60), proxier.remove_drained())[1] for _ in range(3)],
        reset(*near) or reset(*other),
        [(time.sleep(60), proxier.remove_drained())[1] for _ in range(3)],
        len(proxier.draining),
    ]""",
        "ipvs",
        None,
    )
    assert looks == [True, 2, [0, 0, 0], None, [2, 0, 0], 0]
