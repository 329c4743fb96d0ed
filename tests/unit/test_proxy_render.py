"""`labkit render`, as it is called: what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys

import pytest

from labkit.cli.main import main

MANIFEST = """
apiVersion: v1
kind: Node
metadata: {name: %s}
status: {addresses: [{type: InternalIP, address: 172.18.0.%d}]}
---
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]}
"""


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(MANIFEST % ("first", 2) + MANIFEST % ("second", 3) + SERVICE)
    return path


@pytest.fixture
def render(manifest, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["labkit", "render", *map(str, words), str(manifest)])
        with pytest.raises(SystemExit) as done:
            main()
        written = capsys.readouterr()
        return done.value.code, written.out, written.err

    return run


def test_json_has_the_keys_of_the_mode(render):
    status, out, _ = render("--mode", "ipvs", "--format", "json")
    document = json.loads(out)
    assert status == 0
    assert list(document) == [
        *("kube_proxy", "mode", "sysctls", "jumps", "restore"),
        *("virtual_servers", "ipsets", "ipset_types"),
    ]
    assert document["virtual_servers"]["10.96.0.10:80/TCP"] == {
        "scheduler": "rr",
        "flags": 0,
        "timeout": 0,
        "real": [],
    }
    status, out, _ = render("--mode", "iptables", "--format", "json")
    assert (status, list(json.loads(out))) == (0, ["kube_proxy", "mode", "sysctls", "jumps", "restore"])
    status, out, _ = render("--mode", "nftables", "--format", "json")
    assert (status, list(json.loads(out))) == (0, ["kube_proxy", "mode", "sysctls", "nft"])
    assert json.loads(out)["nft"].startswith("add table ip kube-proxy\n")


def test_the_node_is_the_first_one_unless_named(render, tmp_path):
    override = tmp_path / "config.yaml"
    kind = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
    override.write_text(kind + "hostnameOverride: second\n")
    for words, address in (
        ((), "172.18.0.2"),
        (("--node", "second"), "172.18.0.3"),
        (("--config", override), "172.18.0.3"),
    ):
        status, out, _ = render("--mode", "ipvs", *words)
        assert (status, f"-A -t {address}:30080 -s rr" in out.splitlines()) == (0, True)


def test_without_a_configuration_the_clusters_pods_are_known(render, tmp_path):
    _, out, _ = render("--mode", "iptables")
    assert "! -s 10.244.0.0/16 -j KUBE-MARK-MASQ" not in out  # no endpoints, so no chain of the Service
    _, out, _ = render("--mode", "nftables")
    assert "nft -f - <<'END'\nadd table ip kube-proxy\n" in out
    _, out, _ = render("--mode", "ipvs")
    assert "dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "userspace"), "kube-proxy has no mode 'userspace'"),
        (("--mode", "ipvs", "--node", "third"), "the cluster has no node third"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_what_to_do(render, words, said):
    status, out, error = render(*words)
    assert (status, out) == (2, "")
    assert said in error
    assert "to do: use" in error
    assert "Traceback" not in error
