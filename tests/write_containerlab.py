"""Write the shipped topologies in containerlab/ anew: python tests/write_containerlab.py."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from labkit.lab.containerlab import containerlab_files
from labkit.spec.cluster import read_manifests

FOLDER = Path(__file__).parents[1] / "containerlab"
SHIPPED = (
    ("pods", "pods", "iptables", "rr"),
    ("web", "web", "iptables", "rr"),
    ("web-nftables", "web", "nftables", "rr"),
    ("web-ipvs", "web", "ipvs", "rr"),
    ("weighted-ipvs-wrr", "weighted", "ipvs", "wrr"),
    ("unequal-ipvs-lc", "unequal", "ipvs", "lc"),
    ("shop", "shop", "iptables", "rr"),
    ("outside", "outside", "iptables", "rr"),
    ("dead-backend-ipvs", "dead-backend", "ipvs", "rr"),
    ("draining-ipvs", "draining", "ipvs", "rr"),
    ("readiness", "readiness", "iptables", "rr"),
    ("stale-udp", "stale-udp", "iptables", "rr"),
    ("ingress-trap", "ingress-trap", "iptables", "rr"),
    ("ingress-trap-ipvs", "ingress-trap", "ipvs", "rr"),
    ("ingress-two-addresses-ipvs", "ingress-two-addresses", "ipvs", "rr"),
    ("ingress-ipmode-proxy-ipvs", "ingress-ipmode-proxy", "ipvs", "rr"),
)
"""The topology, its lab, mode and scheduler: every shipped lab, in the modes that the lessons show it in."""


def shipped_files() -> Mapping[str, str]:
    """Return what containerlab/ holds beside its README, by path."""
    files: dict[str, str] = {}
    for name, lab, mode, scheduler in SHIPPED:
        files |= containerlab_files(name, read_manifests([lab]), mode, scheduler)
    return files


def main() -> None:
    for path in FOLDER.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "README.md":
            path.unlink()
    for name, text in shipped_files().items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
