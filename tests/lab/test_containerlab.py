"""The same manifest gives the same network and rules, built by Lab.open and from its containerlab file."""

from __future__ import annotations

from pathlib import Path

import pytest
from network_state import network_of, run_in

from labkit import Lab
from labkit.fabric.topology import build_topology
from labkit.guest.probe import takes_nftables
from labkit.lab.containerlab import containerlab_files
from labkit.proxy.program_restore import Backend
from labkit.proxy.program_tables import find_backend
from labkit.proxy.state import read_state
from labkit.spec.clab import read_clab
from labkit.spec.cluster import read_manifests

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    # The files' commands are `iptables` as the system has it, which is nftables' today.
    pytest.mark.skipif(not takes_nftables(), reason="this Linux has no nf_tables for IPv4"),
]

LABS = [
    ("web", "iptables", "rr"),
    ("weighted", "ipvs", "wrr"),
    ("web", "nftables", "rr"),
    ("shop", "iptables", "rr"),
    ("ingress-trap", "ipvs", "rr"),
]


def read_all(namespaces, plan, backend) -> dict:
    return {
        one.name: {
            **network_of(run_in(namespaces[one.name]), [path for path, _ in one.sysctls]),
            "rules": read_state(namespaces[one.name], backend) if one.kind == "node" else {},
        }
        for one in plan.namespaces
    }


def command_backend(namespace) -> Backend:
    """Return which packet filter the command `iptables` itself writes to."""
    return Backend("nft" if "nf_tables" in namespace.command(["iptables", "--version"]).stdout else "legacy")


def from_containerlab_file(name: str, mode: str, scheduler: str, plan, folder: Path) -> dict:
    for path, text in containerlab_files(name, read_manifests([name]), mode, scheduler).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    with build_topology(read_clab(folder / f"{name}.clab.yml", {}), folder) as live:
        assert live.failures == ()
        return read_all(live.namespaces, plan, command_backend(live.node("lan")))


@pytest.mark.parametrize(("name", "mode", "scheduler"), LABS)
def test_a_lab_is_the_same_here_and_from_its_containerlab_file(name, mode, scheduler, tmp_path):
    with Lab.open(name, mode=mode, scheduler=scheduler) as lab:
        plan = lab.network.plan
        here = read_all(lab.network.namespaces, plan, find_backend(next(iter(lab.nodes.values()))))
    there = from_containerlab_file(name, mode, scheduler, plan, tmp_path)
    assert set(there) == set(here)
    for namespace, held in here.items():
        assert held["links"], namespace
        for part, value in held.items():
            assert there[namespace][part] == value, (namespace, part)
    for node in lab.cluster.nodes:
        assert here[node.name]["rules"], node.name
