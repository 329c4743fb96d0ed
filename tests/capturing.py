"""Nodes to capture: programmed as planned, others' chains beside kube-proxy's, saved by the real tools."""

from __future__ import annotations

from pathlib import Path

from labkit.capture.captured import Captured, capture_node
from labkit.capture.dump import Dump, read_dump
from labkit.proxy.plans import find_node, plan_node
from labkit.proxy.program import apply_plan
from labkit.spec.cluster import read_cluster
from labkit.spec.proxyconfigfile import read_proxy_config
from labkit.spec.text import Text

CORPUS = Path(__file__).parent / "golden" / "proxy"
CASES = sorted(path.stem for path in CORPUS.glob("*.in"))
OTHERS = Path(__file__).parent / "samples" / "capture"


def case(name: str):
    """Return the cluster and configuration of a case of the corpus."""
    _, config, objects = (CORPUS / f"{name}.in").read_text().split("---\n", 2)
    return read_cluster([Text(f"{name}.yaml", objects)]), read_proxy_config(Text("config", config))


def program(namespace, backend, mode, cluster, config) -> None:
    """Program a node as kube-proxy would, then let others come, each as it does."""
    apply_plan(plan_node(mode, cluster, find_node(cluster, ""), config), namespace, backend)
    add_others(namespace, backend)


def add_others(namespace, backend) -> None:
    """Add the chains of flannel, Calico, Docker and the kubelet, beside kube-proxy's own."""
    for file in sorted(OTHERS.glob("*.rules")):
        text = file.read_text()
        if file.stem == "kubelet" and "KUBE-FIREWALL" in said(namespace, f"{backend.save}"):
            text = "".join(line for line in text.splitlines(keepends=True) if "KUBE-FIREWALL" not in line)
        done = namespace.command([backend.restore, "--noflush", "-w", "5"], stdin=text)
        assert done.status == 0, (file.name, done.complaint)


def said(namespace, command: str) -> str:
    done = namespace.command(command.split())
    assert done.status == 0, done.complaint
    return done.stdout


def saved(namespace, backend, mode) -> list[Text]:
    """Return what one runs on a node in this mode."""
    commands = {"iptables": [backend.save], "ipvs": [backend.save, "ipvsadm -S -n", "ipset save"]}
    return [
        Text(command, said(namespace, command))
        for command in commands.get(mode, [backend.save, "nft list ruleset"])
    ]


def captured_from(texts: list[Text], cluster, config) -> Captured:
    dump: Dump = read_dump(texts)
    return capture_node(dump, cluster, "", config)
