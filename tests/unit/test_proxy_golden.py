"""Plans against what kube-proxy v1.30.3 programmed for the same clusters (tests/golden/proxy/NOTICE.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from nft_model import run_transaction

from labkit.proxy.plans import MODES, find_node, plan_node
from labkit.proxy.printing import plan_document
from labkit.spec.cluster import read_cluster
from labkit.spec.proxyconfigfile import read_proxy_config
from labkit.spec.text import Text

GOLDEN = Path(__file__).parents[1] / "golden" / "proxy"
CASES = sorted(path.stem for path in GOLDEN.glob("*.in"))
SHARED = {
    "iptables": ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"),
    "ipvs": ("KUBE-IPVS-OUT-FILTER",),
}
Sections = dict[str, list[str]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_what_kube_proxy_programmed(case, mode):
    _, config, objects = (GOLDEN / f"{case}.in").read_text().split("---\n", 2)
    cluster = read_cluster([Text(f"{case}.in", objects)])
    plan = plan_node(mode, cluster, find_node(cluster, ""), read_proxy_config(Text("config", config)))
    expected = read_sections(f"every-case.{mode}") | read_sections(f"{case}.{mode}")
    absent = {heading.removesuffix(" (absent)") for heading in expected if heading.endswith(" (absent)")}
    present = {
        heading: lines
        for heading, lines in expected.items()
        if heading not in absent and not heading.endswith(" (absent)")
    }
    assert document_sections(plan_document(plan)) == present


def test_there_are_cases():
    assert len(CASES) == 29


def read_sections(name: str) -> Sections:
    sections: Sections = {}
    for line in (GOLDEN / name).read_text().splitlines():
        if line.startswith("# "):
            lines = sections.setdefault(line[2:], [])
        else:
            lines.append(line)
    return sections


def document_sections(document: dict) -> Sections:
    if document["mode"] == "nftables":
        assert document["sysctls"] == []
        return run_transaction(document["nft"]).sections()
    sections = {"sysctls": sorted(document["sysctls"]), "jumps": document["jumps"]}
    for line in document["restore"].splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            sections[f"{table} {line[1:].split()[0]}"] = []
        elif line != "COMMIT":
            _, chain, rule = line.split(" ", 2)
            sections[f"{table} {chain}"].append(rule)
    for heading, lines in sections.items():
        if heading.endswith(SHARED[document["mode"]]):
            lines.sort()
    for key, server in document.get("virtual_servers", {}).items():
        settings = f"{server['scheduler']} flags {server['flags']} timeout {server['timeout']}"
        sections[f"virtual server {key}"] = [settings, *sorted(server["real"])]
    for name, members in document.get("ipsets", {}).items():
        sections[f"set {name} {document['ipset_types'][name]}"] = sorted(members)
    return sections
