"""Topologies of containerlab files, built here: each kind of node and link, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from labkit.errors import BuildError, RequestError
from labkit.fabric.namespace import Namespace
from labkit.fabric.topology import build_topology
from labkit.spec.clab import read_clab
from labkit.spec.text import Text

pytestmark = pytest.mark.usefixtures("nothing_left")


def host_links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


@pytest.fixture(autouse=True)
def _host_as_before():
    before = host_links()
    yield
    assert host_links() == before


def built(text: str, folder: Path = Path("/")):
    return build_topology(read_clab(Text("lab.clab.yml", text), {}), folder)


def says(namespace: Namespace, command: str) -> str:
    done = namespace.command(["sh", "-c", command])
    assert done.status == 0, done.complaint
    return done.stdout.strip()


def link_of(namespace: Namespace, name: str) -> dict:
    (link,) = json.loads(says(namespace, f"ip -json -details link show {name}"))
    return link


def reaches(namespace: Namespace, address: str) -> bool:
    return namespace.command(["ping", "-c", "1", "-W", "5", address]).status == 0


ROUTED = """
name: routed
topology:
  defaults: {kind: linux, network-mode: none}
  nodes:
    left:
      exec: [ip address add 10.1.0.1/24 dev eth1, ip route add default via 10.1.0.254]
    router:
      sysctls: {net.ipv4.ip_forward: 1}
      exec: [ip address add 10.1.0.254/24 dev eth1, ip address add 10.2.0.254/24 dev eth2]
    right:
      exec: [ip address add 10.2.0.1/24 dev eth1, ip route add default via 10.2.0.254]
  links:
    - endpoints: ["left:eth1", "router:eth1"]
      mtu: 1400
    - type: veth
      endpoints: [{node: router, interface: eth2}, {node: right, interface: eth1, mac: "02:00:00:00:00:01"}]
"""


def test_nodes_are_namespaces_and_their_commands_configure_them():
    with built(ROUTED) as live:
        assert live.failures == ()
        assert reaches(live.node("left"), "10.2.0.1")
        assert (link_of(live.node("left"), "eth1")["mtu"], link_of(live.node("right"), "eth1")["mtu"]) == (
            1400,
            9500,
        )
        assert link_of(live.node("right"), "eth1")["address"] == "02:00:00:00:00:01"
        assert says(live.node("left"), "cat /proc/sys/net/ipv4/ip_forward") == "0"


def test_without_another_word_nodes_are_on_the_management_network():
    with built("""
name: managed
mgmt: {ipv4-subnet: 10.77.0.0/24}
topology:
  nodes:
    a: {kind: linux}
    b: {kind: linux, mgmt-ipv4: 10.77.0.9}
    c: {kind: linux, network-mode: none}
    d: {kind: host, exec: [ping -c 1 -W 5 10.77.0.9]}
  links:
    - endpoints: ["mgmt-net:to-c", "c:eth5"]
""") as live:
        assert live.failures == ()
        assert reaches(live.node("a"), "10.77.0.9")
        assert says(live.node("b"), "ip -brief address show eth0 | awk '{print $3}'") == "10.77.0.9/24"
        assert says(live.node("a"), "ip route show default") == "default via 10.77.0.1 dev eth0"
        says(live.node("c"), "ip address add 10.77.0.50/24 dev eth5")
        assert reaches(live.node("a"), "10.77.0.50")


def test_a_bridge_is_the_hosts_and_joins_its_nodes():
    with built("""
name: bridged
topology:
  defaults: {network-mode: none}
  kinds: {bridge: {network-mode: host}}
  nodes:
    a: {kind: linux, exec: [ip address add 10.3.0.1/24 dev eth1]}
    b: {kind: linux, exec: [ip address add 10.3.0.2/24 dev eth1]}
    br-x: {kind: bridge}
  links:
    - endpoints: ["a:eth1", "br-x:port-a"]
    - endpoints: ["br-x:port-b", "b:eth1"]
""") as live:
        assert live.failures == ()
        assert {"br-x", "port-a", "port-b"} <= host_links()
        assert link_of(live.node("br-x"), "port-a")["master"] == "br-x"
        assert reaches(live.node("a"), "10.3.0.2")


def test_a_bridge_of_the_host_is_used_and_stays():
    subprocess.run(["ip", "link", "add", "name", "br-own", "type", "bridge"], check=True)
    try:
        with built("name: y\ntopology: {nodes: {br-own: {kind: bridge}}}"):
            pass
        assert "br-own" in host_links()
    finally:
        subprocess.run(["ip", "link", "delete", "br-own"], check=True)


ENDS = """
name: ends
topology:
  nodes:
    a:
      kind: linux
      network-mode: none
      exec: [ip address add 10.4.0.2/24 dev up, ip address add 10.5.0.1/32 dev d0]
    b: {kind: linux, network-mode: none}
    machine: {kind: host, exec: [ip address add 10.4.0.1/24 dev to-a]}
  links:
    - endpoints: ["host:to-a", "a:up"]
    - {type: dummy, endpoint: {node: a, interface: d0, mac: "02:00:00:00:00:02"}}
    - {type: macvlan, endpoint: {node: b, interface: mv}, host-interface: to-a, mode: private}
"""


def test_links_to_the_host_dummies_and_macvlans():
    with built(ENDS) as live:
        assert live.failures == ()
        assert reaches(live.node("machine"), "10.4.0.2")
        dummy, macvlan = link_of(live.node("a"), "d0"), link_of(live.node("b"), "mv")
        assert (dummy["linkinfo"]["info_kind"], dummy["address"]) == ("dummy", "02:00:00:00:00:02")
        assert macvlan["linkinfo"]["info_data"]["mode"] == "private"
        assert macvlan["promiscuity"] >= 1


def test_a_node_may_live_in_anothers_network_or_the_hosts():
    with built("""
name: shared
topology:
  nodes:
    pod: {kind: linux, network-mode: none}
    sidecar: {kind: linux, network-mode: "container:pod"}
    agent: {kind: linux, network-mode: host}
    "br0|pod": {kind: bridge, network-mode: "container:pod"}
  links:
    - endpoints: ["sidecar:eth1", "br0|pod:port1"]
""") as live:
        assert live.node("sidecar") is live.node("pod")
        assert link_of(live.node("pod"), "port1")["master"] == "br0"
        assert "br0" not in host_links()
        assert live.node("agent").command(["ip", "link", "show", "eth1"]).status == 1
        assert live.node("agent").command(["ip", "link", "show", "lo"]).status == 0


def test_commands_have_the_nodes_environment_and_binds_and_no_shell(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "greeting").write_text("hello")
    with built(
        """
name: commands
topology:
  defaults: {kind: linux, network-mode: none, binds: ["data:/mnt:ro", "data:/srv"]}
  nodes:
    a:
      env: {WHO: you, EMPTY: ""}
      exec:
        - sh -c 'cat /mnt/greeting > /srv/out; echo " $$WHO$EMPTY" >> /srv/out; pwd >> /srv/out'
        - echo $$WHO > /srv/never
        - touch /mnt/refused
        - no-such-command
""",
        tmp_path,
    ) as live:
        assert (tmp_path / "data" / "out").read_text() == "hello you\n/\n"
        assert not (tmp_path / "data" / "never").exists()
        assert [(one.command, one.status) for one in live.failures] == [
            ("touch /mnt/refused", 1),
            ("no-such-command", 127),
        ]
        assert "Read-only" in live.failures[0].complaint
        assert not Path("/mnt/greeting").exists()
        assert "failed: a: no-such-command: env:" in str(live)


STAGES = """
name: stages
topology:
  defaults: {kind: linux, network-mode: none, binds: ["log:/mnt"]}
  nodes:
    app:
      stages:
        create:
          wait-for: [{node: db, stage: healthy}]
          exec:
            - {command: "sh -c 'echo app is about to be created >> LOG'", target: host}
        create-links:
          exec:
            - command: sh -c 'ls /sys/class/net | wc -l >> /mnt/log'
            - {command: "sh -c 'ls /sys/class/net | wc -l >> /mnt/log'", phase: on-exit}
      exec: ["sh -c 'echo app configured >> /mnt/log'"]
    db:
      healthcheck: {test: [CMD-SHELL, "test -e /mnt/ready"], interval: 1, retries: 1}
      exec: ["sh -c 'echo db configured >> /mnt/log; touch /mnt/ready'"]
  links:
    - {type: dummy, endpoint: {node: app, interface: d0}}
"""


def test_stages_wait_for_one_another_and_run_their_commands(tmp_path):
    (tmp_path / "log").mkdir()
    with built(STAGES.replace("LOG", str(tmp_path / "log" / "log")), tmp_path) as live:
        assert live.failures == ()
    before, after = 1, 2  # lo; lo and d0
    assert (tmp_path / "log" / "log").read_text().splitlines() == [
        "db configured",
        "app is about to be created",
        str(before),
        str(after),
        "app configured",
    ]


def test_a_node_that_does_not_become_healthy_ends_the_build(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(BuildError, match="node db does not become healthy") as raised:
        built(STAGES.replace("touch /mnt/ready", "true"), tmp_path)
    assert raised.value.where == "sh -c test -e /mnt/ready"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            "name: x\ntopology: {nodes: {a: {kind: linux, binds: ['no/such:/mnt']}}}",
            RequestError,
            "a: no/such",
        ),
        (
            "name: x\ntopology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['macvlan:none', 'a:e1']}]}",
            BuildError,
            "there is no interface none",
        ),
        (
            "name: x\ntopology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['host:lo', 'a:eth1']}]}",
            BuildError,
            "refused to call an interface lo",
        ),
        (
            "name: x\ntopology: {nodes: {a: {kind: linux, sysctls: {net.ipv4.no_such: 1}}}}",
            Exception,
            "no setting net.ipv4.no_such",
        ),
    ],
)
def test_what_cannot_be_built_is_said_and_leaves_nothing(text, error, words):
    with pytest.raises(error, match=words):
        built(text)


def test_a_bind_whose_target_is_not_there_is_named(tmp_path):
    with built(
        "name: x\ntopology: {nodes: {a: {kind: linux, binds: ['.:/no-such-folder']}}}", tmp_path
    ) as live:
        assert live.warnings == (
            "node a: nothing is bound at /no-such-folder, which this Linux does not have",
        )
