"""A node's rules in words: tests/golden/capture/MODE.expected, and single ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.capture.captured import capture_node
from labkit.capture.dump import read_dump
from labkit.capture.explaining import NOTHING, explain
from labkit.errors import RequestError
from labkit.spec.cluster import read_cluster
from labkit.spec.text import Text

SAMPLES = Path(__file__).parents[1] / "samples" / "capture"
GOLDEN = Path(__file__).parents[1] / "golden" / "capture"
DUMPS = {
    "iptables": ["kind-worker.iptables.iptables-save"],
    "ipvs": ["kind-worker.ipvs.iptables-save", "kind-worker.ipvsadm-save", "kind-worker.ipset-save"],
    "nftables": ["kind-worker.nft-list"],
}


def captured(mode: str, change=lambda text: text):
    texts = [Text(name, change((SAMPLES / name).read_text())) for name in DUMPS[mode]]
    return capture_node(read_dump(texts), read_cluster([SAMPLES / "kind.yaml"]), "kind-worker")


@pytest.mark.parametrize("mode", DUMPS)
def test_each_address_of_each_service_is_explained(mode):
    said = "".join(f"{line}\n" for line in explain(captured(mode)))
    assert said == (GOLDEN / f"{mode}.expected").read_text()


def test_shares_follow_from_the_probabilities_that_stand_there():
    def change(text: str) -> str:
        return text.replace("--probability 0.33333333349", "--probability 0.80000000000")

    lines = [line.strip() for line in explain(captured("iptables", change)) if "8080, " in line]
    assert [line.partition(" (")[0].rpartition(": ")[2] for line in lines[:3]] == [
        "10.244.0.4:8080, 80 % of all",
        "10.244.1.2:8080, 10 % of all",
        "10.244.1.3:8080, 10 % of all",
    ]


def test_an_address_that_the_rules_do_not_know_is_told():
    def change(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if "10.96.114.7" not in line)

    lines = explain(captured("iptables", change))
    at = lines.index("  10.96.114.7:80/TCP, its cluster IP")
    assert lines[at + 1].strip() == NOTHING


def test_ipvs_is_not_explained_without_its_virtual_servers():
    texts = [Text("x", (SAMPLES / DUMPS["ipvs"][0]).read_text())]
    alone = capture_node(read_dump(texts), read_cluster([SAMPLES / "kind.yaml"]), "kind-worker")
    with pytest.raises(RequestError, match="the virtual servers are missing"):
        explain(alone)
