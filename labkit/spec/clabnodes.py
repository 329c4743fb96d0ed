"""The nodes of a clab file, each with what it inherits, checked alone and against the others.

What inherits from where: containerlab's types/topology.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labkit.spec.clablevels import Level, read_level
from labkit.spec.clablinks import SPECIAL_ENDS, is_interface_name
from labkit.spec.clabstages import plan_steps
from labkit.spec.topology import CONTAINER, HOST, NODE_KINDS, TopologyNode
from labkit.spec.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.spec.clabfields import Block
    from labkit.spec.documents import Place
    from labkit.spec.topology import Wait

_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class NodesReader:
    """Reads the nodes with what they inherit: defaults, then kind, then group, then the node itself."""

    def __init__(self, topology: Block) -> None:
        self.topology = topology
        self.defaults = read_level(topology.block("defaults"))
        self.kinds = {
            name: read_level(block) for name, block in topology.blocks("kinds").items() if name in NODE_KINDS
        }
        self.groups = {name: read_level(block) for name, block in topology.blocks("groups").items()}

    def read(self) -> dict[str, TopologyNode]:
        """Return the nodes without mistakes by their names."""
        if not self.topology.fields.get("nodes"):
            self.topology.mistake("there are no nodes", "write at least one below topology.nodes")
        blocks = self.topology.blocks("nodes")
        nodes: dict[str, TopologyNode] = {}
        waits: dict[tuple[str, Wait], Place] = {}
        for name, block in blocks.items():
            made = self._node(name, block, waits)
            if made is not None:
                nodes[name] = made
        self._check_homes(nodes, blocks)
        self._check_waits(nodes, blocks, waits)
        return nodes

    def _node(self, name: str, block: Block, waits: dict[tuple[str, Wait], Place]) -> TopologyNode | None:
        own = read_level(block, is_node=True)
        kind = self._kind(own)
        if kind not in NODE_KINDS:
            self._refuse_kind(kind, name, block)
            return None
        level = self._inherited(own, kind)
        for wait, place in level.wait_places.items():
            waits.setdefault((name, wait), place)
        node = level.node(name, next(one for one in NODE_KINDS if one == kind))
        return node if self._check_node(node, block, own) else None

    def _kind(self, own: Level) -> str:
        groups = (self.groups.get(own.group), self.groups.get(self.defaults.group))
        candidates = (own.kind, *(group.kind for group in groups if group), self.defaults.kind)
        return next(filter(None, candidates), "")

    def _inherited(self, own: Level, kind: str) -> Level:
        of_kind = next((level for name, level in self.kinds.items() if name == kind), Level())
        group = own.group or of_kind.group or self.defaults.group
        levels = (self.defaults, of_kind, self.groups.get(group) or Level(), own)
        merged = levels[0]
        for level in levels[1:]:
            merged = merged.with_closer(level)
        return merged.in_group(group)

    def _refuse_kind(self, kind: str, name: str, block: Block) -> None:
        if not isinstance(self.topology.block("nodes").fields[name], dict | None):
            return  # told already
        if not kind:
            block.mistake(f"node {name} has no kind", f"write one of: {', '.join(NODE_KINDS)}", at_key=True)
            return
        meant = nearest(kind, NODE_KINDS)
        hint = f"did you mean {meant}? " if meant else ""
        path = ("kind",) if "kind" in block.fields else ()
        block.mistake(
            f"node {name}: the kind {kind} is not supported",
            f"{hint}the lab builds {', '.join(NODE_KINDS)}; for others deploy the file with containerlab",
            *path,
            at_key=not path,
        )

    def _check_node(self, node: TopologyNode, block: Block, own: Level) -> bool:
        complaints = [
            *_name_complaints(node),
            *_mode_complaints(node, "network-mode" in block.fields),
        ]
        if node.kind == "bridge" and own.exec:
            complaints.append(
                (
                    "a bridge runs no commands, in containerlab neither",
                    "give exec to a node of kind linux",
                    "exec",
                )
            )
        if node.lives_in and node.sysctls and node.kind == "linux":
            complaints.append(
                (
                    f"sysctls of a node in network-mode {node.network_mode} are not supported",
                    "give them to the node whose network namespace it is",
                    "sysctls" if "sysctls" in block.fields else "",
                )
            )
        for message, todo, key in complaints:
            block.mistake(f"node {node.name}: {message}", todo, *([key] if key else []), at_key=True)
        return not complaints

    def _check_homes(self, nodes: Mapping[str, TopologyNode], blocks: Mapping[str, Block]) -> None:
        for node in nodes.values():
            home = node.lives_in
            if home in {"", HOST} or (home in nodes and nodes[home].kind == "linux"):
                continue
            block = blocks[node.name]
            why = (
                "the topology has no such node" if home not in blocks else f"{home} has no network of its own"
            )
            path = ("network-mode",) if "network-mode" in block.fields else ()
            block.mistake(
                f"node {node.name}: network-mode container:{home} is not supported: {why}",
                "name a node of kind linux",
                *path,
                at_key=not path,
            )

    def _check_waits(
        self,
        nodes: Mapping[str, TopologyNode],
        blocks: Mapping[str, Block],
        places: Mapping[tuple[str, Wait], Place],
    ) -> None:
        findings = self.topology.findings
        for (_, wait), place in places.items():
            if wait.node not in blocks:
                meant = nearest(wait.node, blocks)
                hint = f"did you mean {meant}?" if meant else f"there are: {', '.join(blocks)}"
                findings.mistake(place, f"there is no node {wait.node} to wait for", hint)
            elif wait.until == "healthy" and wait.node in nodes and nodes[wait.node].healthcheck is None:
                findings.mistake(
                    place,
                    f"to wait until {wait.node} is healthy is not supported without a healthcheck here",
                    f"write healthcheck: {{test: [CMD, ...]}} at {wait.node}",
                )
        if len(nodes) == len(blocks) and all(wait.node in nodes for _, wait in places):
            self._check_circles(nodes, blocks, places)

    def _check_circles(
        self,
        nodes: Mapping[str, TopologyNode],
        blocks: Mapping[str, Block],
        places: Mapping[tuple[str, Wait], Place],
    ) -> None:
        if any(node.lives_in not in {"", HOST, *nodes} for node in nodes.values()):
            return  # told already
        _, stuck = plan_steps(list(nodes.values()))
        if stuck:
            told = ", ".join(
                f"{name} ({wait.stage}) waits for {wait.node} ({wait.until})" for name, wait in stuck
            )
            first = stuck[0]
            place = places.get(first) or blocks[first[0]].place(at_key=True)
            self.topology.findings.mistake(place, f"nobody could begin: {told}", "break the circle")


def _name_complaints(node: TopologyNode) -> Iterator[tuple[str, str, str]]:
    if node.name in SPECIAL_ENDS:
        yield "links use this name for something else", "call it otherwise", ""
    elif node.kind == "bridge":
        home = node.network_mode.removeprefix(CONTAINER) if node.network_mode.startswith(CONTAINER) else ""
        if not is_interface_name(node.interface):
            yield "no interface can be called so", "use at most 15 characters, no blank, slash or colon", ""
        elif home and node.name != f"{node.interface}|{home}":
            yield (
                f"a bridge in the node {home} must be called NAME|{home}",
                f"write {node.interface}|{home}",
                "",
            )
    elif not _NODE_NAME.fullmatch(node.name):
        yield "no container can be called so", "use letters, digits, dots, hyphens and underscores", ""


def _mode_complaints(node: TopologyNode, is_own: bool) -> Iterator[tuple[str, str, str]]:  # noqa: FBT001
    mode, key = node.network_mode, "network-mode" if is_own else ""
    known = mode in {"", "none", HOST} or (mode.startswith(CONTAINER) and mode != CONTAINER)
    if not known:
        yield f"there is no network-mode {mode}", "write none, host or container:NODE", key
    elif node.kind == "bridge" and mode == "none":
        yield "a bridge without a network is none", "leave network-mode out", key
