"""`labkit shell X.clab.yml` and `labkit capture`, from the host: a guest each, their words and status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "samples" / "capture"
GOLDEN = Path(__file__).parents[1] / "golden" / "clab"
DEADLINE_S = 120
NODE = ("--node", "kind-worker")


def labkit(*words: object, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def topology(tmp_path):
    file = tmp_path / "two.clab.yml"
    file.write_text(
        "name: two\n"
        "topology:\n"
        "  defaults: {kind: linux, network-mode: none, binds: ['.:/mnt']}\n"
        "  nodes:\n"
        "    a: {image: alpine, exec: [ip address add 10.0.0.1/24 dev eth1, no-such-command]}\n"
        "    b: {exec: [bash /mnt/setup.sh]}\n"
        "  links:\n"
        "    - endpoints: ['a:eth1', 'b:eth1']\n"
    )
    (tmp_path / "setup.sh").write_text("ip address add 10.0.0.2/24 dev eth1\n")
    return file


def test_a_shell_opens_where_the_host_would_be_and_ends_with_its_own_status(topology):
    commands = "ip netns exec a ping -c 1 -W 5 10.0.0.2 >/dev/null && echo reached\nexit 7\n"
    status, out, err = labkit("shell", topology, stdin=commands)
    assert (status, out) == (7, "reached\n")
    assert "Topology two: 2 nodes, 1 links\n  linux  a  b\n" in err
    assert f"warning: {topology}:5:9: ignored, they mean nothing to the lab: image\n" in err
    assert "failed: a: no-such-command: env:" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((GOLDEN / "unsupported-kind.clab.yml",), "the kind nokia_srlinux is not supported"),
        (("x.clab.yml", "web"), "a containerlab file stands alone"),
        (("x.clab.yml", "--mode", "ipvs"), "a containerlab file has its own rules"),
        (("none.clab.yml",), "none.clab.yml: no such file"),
    ],
)
def test_what_cannot_be_built_is_said_before_a_guest_starts(words, says):
    check_refused("shell", *words, says=says)


def test_a_replay_that_cannot_be_is_refused_as_a_shell():
    check_refused("capture", "replay", SAMPLES / "kind.yaml", "none", says="none: no such file")


def check_refused(*words: object, says: str) -> None:
    status, out, err = labkit(*words)
    assert (status, out) == (125, "")
    assert says in err
    assert "Traceback" not in err


def test_a_node_is_compared_and_its_differences_are_told(tmp_path):
    dump = tmp_path / "node"
    text = (SAMPLES / "kind-worker.iptables.iptables-save").read_text()
    dump.write_text(
        "".join(line for line in text.splitlines(keepends=True) if "-A KUBE-MARK-MASQ" not in line)
    )
    status, out, _ = labkit("capture", "compare", SAMPLES / "kind.yaml", dump, *NODE)
    assert status == 0
    assert out.splitlines()[:2] == [
        "node kind-worker, iptables mode, 4 Services, beside kube-proxy v1.30.3: 1 difference",
        "  chain nat KUBE-MARK-MASQ lacks: -j MARK --set-xmark 0x4000/0x4000",
    ]
    assert "\n  4 chains of Calico, such as cali-PREROUTING\n" in out


def test_a_node_is_replayed_and_its_services_answer():
    files = [SAMPLES / name for name in ("kind.yaml", "kind-worker.nft-list")]
    status, out, err = labkit(
        "capture", "replay", *files, *NODE, stdin="ip netns exec client curl -s http://10.96.114.7/\nexit 3\n"
    )
    assert status == 3
    assert out.startswith("pod=default/web-6d4b75cb6d-")
    assert "node kind-worker, nftables mode, 4 Services, as captured" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("explain", "kind-worker.nft-list"), "the Services are missing"),
        (("explain", "kind.yaml"), "nothing of kube-proxy's is in what the node printed"),
        (("compare", "kind.yaml", "kind-worker.nft-list"), "the cluster has several nodes"),
        (("compare", "kind.yaml", "kind-worker.nft-list", "--node", "x"), "the cluster has no node x"),
        (("pods", "kind-worker.nft-list"), "the Services are missing"),
    ],
)
def test_what_cannot_be_captured_is_a_wrong_request(words, says, monkeypatch):
    monkeypatch.chdir(SAMPLES)
    status, out, err = labkit("capture", *words)
    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
