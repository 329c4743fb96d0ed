"""A node's rules in words: tests/golden/capture/MODE.expected, and single ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.capture.captured import capture_node
from labkit.capture.dump import read_dump
from labkit.capture.entrances import Entrance
from labkit.capture.explaining import NOTHING, explain
from labkit.capture.iptablesreading import IptablesReading
from labkit.errors import RequestError
from labkit.proxy.restore import parse_save
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


SAVED = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-EXT-A - [0:0]
:KUBE-SEP-B - [0:0]
-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "a b" -m tcp --dport 80 -j KUBE-EXT-A
-A KUBE-EXT-A -s 10.1.0.0/16 -m comment --comment "pod traffic" -j KUBE-SVC-A
-A KUBE-EXT-A -m comment --comment "masquerade LOCAL traffic" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-A -i eth9 -j KUBE-SVC-A
-A KUBE-EXT-A -m comment --comment "the rest goes elsewhere"
-A KUBE-SVC-A ! -s 10.1.0.0/16 -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-A ! -s 10.1.0.0/16 -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-A -m recent --rcheck --seconds 60 --reap --name B --mask 255.255.255.255 --rsource -j KUBE-SEP-B
-A KUBE-SVC-A -m statistic --mode random --probability 0.25000000000 -j KUBE-SEP-B
-A KUBE-SEP-B -p tcp -m recent --set --name KUBE-SEP-B --rsource -m tcp -j DNAT --to-destination 10.1.0.9:8080
COMMIT
"""


def test_every_kind_of_rule_has_its_words():
    way = IptablesReading(parse_save(SAVED)).way(Entrance("its cluster IP", "10.0.0.1", 80, "TCP"))
    assert (
        "\n".join(way)
        == """\
KUBE-EXT-A
  from 10.1.0.0/16: KUBE-SVC-A
    from outside of 10.1.0.0/16: marked, to be masqueraded
    who was there in the last 60 s: 10.1.0.9:8080, again (KUBE-SEP-B)
    with probability 0.25000000000: 10.1.0.9:8080, 25 % of all (KUBE-SEP-B)
  from the node itself: marked, to be masqueraded
  -i eth9: KUBE-SVC-A, as above
  the rest goes elsewhere"""
    )


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
