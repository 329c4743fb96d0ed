"""X.clab.yml -> Topology: a containerlab file read, its inheritance resolved, every mistake with its place.

The lab builds nodes of the kinds linux, bridge and host. What containerlab has beyond that is refused by name
and place; what concerns containers only (image, ports ...) is ignored, and said once. Sources: containerlab's
manual ("Topology definition", "Nodes") and types/topology.go, which says what inherits from where.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.spec.clabfields import Block
from labkit.spec.clablevels import LEVEL_KEYS
from labkit.spec.clablinks import read_links
from labkit.spec.clabnodes import NodesReader
from labkit.spec.documents import Document, Findings, Place, read_documents, read_texts
from labkit.spec.fields import ipv4_network
from labkit.spec.ipv4 import is_ipv4
from labkit.spec.text import Text
from labkit.spec.topology import NODE_KINDS, Management, Topology
from labkit.spec.wording import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIXES = (".clab.yml", ".clab.yaml", "-clab.yml", "-clab.yaml")
_TOP = ("name", "prefix", "mgmt", "topology", "settings", "debug")
_TOPOLOGY = ("defaults", "kinds", "groups", "nodes", "links")
_MANAGEMENT = ("network", "bridge", "ipv4-subnet", "ipv4-gw", "mtu")
_MANAGEMENT_IGNORED = ("ipv4-range", "ipv6-subnet", "ipv6-gw", "ipv6-range", "external-access", "driver-opts")
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-=+])([^}]*))?\}|\$([A-Za-z_]\w*)", re.ASCII)


def is_clab_file(name: str) -> bool:
    """Return whether a file's name says that it is containerlab's."""
    return name.endswith(SUFFIXES)


def read_clab(source: Path | Text, environment: Mapping[str, str]) -> Topology:
    """Return the topology of a clab file; `environment` are the variables that it may name.

    Raises SpecError with every mistake, and with everything that only containerlab can do.
    """
    findings = Findings()
    texts = read_texts([source], findings)
    findings.raise_mistakes()
    text = texts[0]
    _refuse_template(text, findings)
    documents = read_documents([Text(text.name, substitute(text.text, environment))], findings)
    for more in documents[1:]:
        findings.mistake(more.place(), "a second document", "a clab file holds one topology")
    topology = _Reader(documents[0], findings).read() if documents else None
    findings.raise_mistakes()
    if topology is None:  # pragma: no cover - every way to None has found a mistake
        raise AssertionError
    return topology


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` with its variables replaced as containerlab does it: `$$` is a dollar sign.

    One that is not set, and has no default, stays as it is written.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[4]
        if name is None:
            return "$"
        held = environment.get(name)
        operator, other = found[2] or "", found[3] or ""
        is_there = bool(held) if operator.startswith(":") else held is not None
        if operator.endswith("+"):
            return other if is_there else ""
        if is_there:
            return held or ""
        return other if operator else found[0]

    return _VARIABLE.sub(value, text)


def _refuse_template(text: Text, findings: Findings) -> None:
    for number, line in enumerate(text.text.splitlines(), 1):
        if "{{" in line:
            findings.mistake(
                Place(0, number, line.index("{{") + 1, text.name),
                "Go templates are not supported",
                "write the topology out as the template would",
            )
            findings.raise_mistakes()


@dataclass(slots=True)
class _Reader:
    """Reads one document."""

    document: Document
    findings: Findings

    def read(self) -> Topology | None:
        """Return the topology, None after a mistake that leaves nothing to read on."""
        value = self.document.value
        if not isinstance(value, dict):
            self.findings.mistake(self.document.place(), f"a topology is a mapping, not {shown(value)}")
            return None
        top = Block(self.document, self.findings, (), value)
        top.refuse_unknown(_TOP, "a clab file")
        name, management = top.text("name", needed=True), self._management(top.block("mgmt"))
        topology = top.block("topology")
        topology.refuse_unknown(_TOPOLOGY, "a topology")
        nodes = NodesReader(topology).read()
        links = read_links(topology, nodes)
        made = Topology(
            name, tuple(nodes.values()), links, management, top.text("prefix") if "prefix" in value else None
        )
        self._check_addresses(made, topology)
        self._warn(topology, top.block("mgmt"))
        return Topology(
            made.name, made.nodes, made.links, made.management, made.prefix, self.findings.warnings
        )

    def _management(self, block: Block) -> Management:
        block.refuse_unknown((*_MANAGEMENT, *_MANAGEMENT_IGNORED), "mgmt")
        subnet, gateway = block.text("ipv4-subnet") or Management().subnet, block.text("ipv4-gw")
        try:
            network = ipv4_network(subnet)
        except ValueError:
            block.mistake(
                f"{subnet!r} is no IPv4 network", "write a network such as 172.20.20.0/24", "ipv4-subnet"
            )
            return Management()
        if network.prefixlen > 30:
            block.mistake(f"{subnet} has no room for a node", "use /30 or larger", "ipv4-subnet")
            return Management()
        if gateway and (not is_ipv4(gateway) or IPv4Address(gateway) not in network):
            block.mistake(f"{gateway!r} is no address of {subnet}", "", "ipv4-gw")
            return Management()
        return Management(block.text("bridge"), str(network), gateway, block.number("mtu", 0, 68, 65535))

    def _check_addresses(self, topology: Topology, block: Block) -> None:
        network = ipv4_network(topology.management.subnet)
        taken = {topology.management.gateway_address: "the gateway"}
        for node in topology.nodes:
            address = node.mgmt_ipv4
            if not address or not node.on_management:
                continue
            if not is_ipv4(address) or IPv4Address(address) not in network:
                message = f"{address!r} is no address of the management network {network}"
                block.mistake(message, "", "nodes", node.name, "mgmt-ipv4")
            elif address in taken:
                message = f"{address} is {taken[address]}'s already"
                block.mistake(message, "", "nodes", node.name, "mgmt-ipv4")
            taken.setdefault(address, f"node {node.name}")
        try:
            topology.management_addresses()
        except ValueError as error:
            block.mistake(str(error), "give mgmt a larger ipv4-subnet", "nodes", at_key=True)

    def _warn(self, topology: Block, management: Block) -> None:
        levels = [topology.block("defaults"), *topology.blocks("groups").values()]
        levels += [block for kind, block in topology.blocks("kinds").items() if kind in NODE_KINDS]
        levels += topology.blocks("nodes").values()
        found: dict[str, Place] = {}
        for block, ignored in (
            *((level, set(LEVEL_KEYS.ignored)) for level in levels),
            *((block, {"vars", "labels"}) for block in topology.items("links")),
            (management, {"network", *_MANAGEMENT_IGNORED}),
        ):
            for key in block.fields:
                if key in ignored:
                    found.setdefault(key, block.place(key, at_key=True))
        if found:
            self.findings.warn(
                min(found.values()), f"ignored, they mean nothing to the lab: {', '.join(found)}"
            )
