"""The links of a clab file, in the brief and the extended format, each checked against the nodes there are.

Formats: containerlab's manual, "Topology definition", Links.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labkit.spec.topology import DEFAULT_MTU, HOST, LINK_TYPES, MACVLAN_MODES, Endpoint, Link, LinkType
from labkit.spec.wording import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.spec.clabfields import Block
    from labkit.spec.topology import TopologyNode

SPECIAL_ENDS = ("host", "mgmt-net", "macvlan")
_UNSUPPORTED = ("vxlan", "vxlan-stitch")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_COMMON = ("type", "mtu", "vars", "labels")
_ONE_ENDED = (*_COMMON, "endpoint", "host-interface")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "veth": (*_COMMON, "endpoints"),
    "dummy": (*_COMMON, "endpoint"),
    "macvlan": (*_ONE_ENDED, "mode"),
    "host": _ONE_ENDED,
    "mgmt-net": _ONE_ENDED,
}
_IN_AN_ENDPOINT = ("node", "interface", "mac")


def read_links(topology: Block, nodes: Mapping[str, TopologyNode]) -> tuple[Link, ...]:
    """Return the links of a `topology` block between the `nodes` that could be read; mistakes are noted."""
    links = []
    taken: dict[tuple[str, str], Any] = {}
    names = tuple(topology.block("nodes").fields)
    for block in topology.items("links"):
        link = _Reader(block, nodes, names).read()
        if link is not None:
            links.append(link)
            for namespace, interface in _interfaces(link, nodes):
                _refuse_twin(block, namespace, interface, taken)
    return tuple(links)


def is_interface_name(name: str) -> bool:
    """Return whether Linux takes `name` for an interface: IFNAMSIZ is 16 with the closing zero byte."""
    return 0 < len(name.encode()) <= 15 and not re.search(r"[\s/:]", name) and name not in {".", ".."}


def home_of(name: str, nodes: Mapping[str, TopologyNode]) -> str:
    """Return the node whose network namespace `name` lives in, or "host"; `name` itself if it has its own."""
    seen: set[str] = set()
    while name in nodes and nodes[name].lives_in and name not in seen:
        seen.add(name)
        name = nodes[name].lives_in
    return name


def _interfaces(link: Link, nodes: Mapping[str, TopologyNode]) -> Iterator[tuple[str, str]]:
    for end in link.endpoints:
        yield home_of(end.node, nodes), end.interface
    if link.type in {"host", "mgmt-net"}:
        yield HOST, link.host_interface


def _refuse_twin(block: Block, namespace: str, interface: str, taken: dict[tuple[str, str], Any]) -> None:
    first = taken.setdefault((namespace, interface), block.place())
    if first != block.place():
        where = "the host" if namespace == HOST else f"node {namespace}"
        block.mistake(
            f"{where} has the interface {interface} already, by the link on line {first.line}",
            "give it another name",
        )


class _Reader:
    """Reads one link."""

    def __init__(self, block: Block, nodes: Mapping[str, TopologyNode], names: tuple[str, ...]) -> None:
        self.block = block
        self.nodes = nodes
        self.names = names

    def read(self) -> Link | None:
        """Return the link, None after a mistake."""
        block = self.block
        kind = block.text("type").strip().lower() or "brief"
        if kind in _UNSUPPORTED:
            block.mistake(
                f"a link of type {kind} is not supported: it leads to another machine",
                "leave it out, or deploy the file with containerlab",
                "type",
            )
            return None
        if kind == "brief":
            block.refuse_unknown((*_COMMON, "endpoints"), "a link without type")
            return self._brief()
        if kind not in LINK_TYPES:
            block.mistake(f"there is no link of type {kind}", f"there are: {', '.join(LINK_TYPES)}", "type")
            return None
        block.refuse_unknown(_KEYS[kind], f"a {kind} link")
        return self._extended(next(one for one in LINK_TYPES if one == kind))

    def _brief(self) -> Link | None:
        ends = self.block.texts("endpoints")
        if len(ends) != 2:
            self.block.mistake(f"a link has two endpoints, not {len(ends)}", "write [a:eth1, b:eth1]")
            return None
        for at, end in enumerate(ends):
            if ":" not in end:
                self.block.mistake(f"{end!r} is no endpoint", "write NODE:INTERFACE", "endpoints", at)
                return None
        parts = [end.split(":", 1) for end in ends]
        for at, (word, host_interface) in enumerate(parts):
            special = word.strip().lower()
            if special in SPECIAL_ENDS:
                node, interface = parts[1 - at]
                endpoint = self._endpoint(node, interface, "", "endpoints", 1 - at)
                kind = next(one for one in LINK_TYPES if one == special)
                if endpoint is None:
                    return None
                return self._one_ended(kind, endpoint, host_interface, "endpoints", at)
        return self._two_ended(
            [
                self._endpoint(node, interface, "", "endpoints", at)
                for at, (node, interface) in enumerate(parts)
            ]
        )

    def _extended(self, kind: LinkType) -> Link | None:
        if kind == "veth":
            ends = list(self.block.items("endpoints"))
            if len(ends) != 2:
                self.block.mistake(
                    f"a veth link has two endpoints, not {len(ends)}",
                    "write two, each with node and interface",
                )
                return None
            return self._two_ended([self._end(end) for end in ends])
        if "endpoint" not in self.block.fields:
            self.block.mistake(
                f"a {kind} link has one endpoint, and there is none",
                "write endpoint: {node: ..., interface: ...}",
            )
            return None
        endpoint = self._end(self.block.block("endpoint"))
        needs_host = kind != "dummy"
        host_interface = self.block.text("host-interface", needed=needs_host)
        if endpoint is None or (needs_host and not host_interface):
            return None
        return self._one_ended(kind, endpoint, host_interface, "host-interface")

    def _end(self, block: Block) -> Endpoint | None:
        block.refuse_unknown(_IN_AN_ENDPOINT, "an endpoint")
        node, interface = block.text("node", needed=True), block.text("interface", needed=True)
        mac = block.text("mac").lower()
        if mac and not _MAC.fullmatch(mac):
            block.mistake(f"{mac!r} is no MAC", "write six bytes, such as 02:00:00:00:00:01", "mac")
        path = block.path[len(self.block.path) :]
        return self._endpoint(node, interface, mac, *path) if node and interface else None

    def _endpoint(self, node: str, interface: str, mac: str, *path: str | int) -> Endpoint | None:
        if node not in self.names:
            meant = nearest(node, self.names)
            todo = f"did you mean {meant}?" if meant else f"there are: {', '.join(self.names) or 'none'}"
            self.block.mistake(f"there is no node {node}", todo, *path)
            return None
        if node not in self.nodes:
            return None  # the node itself has a mistake, which is told
        if not self._fits(interface, *path):
            return None
        if interface == "eth0" and self.nodes[node].on_management:
            self.block.mistake(
                f"eth0 of {node} is its interface on the management network",
                "write network-mode: none at the node, or use another name",
                *path,
            )
        return Endpoint(node, interface, mac)

    def _fits(self, interface: str, *path: str | int) -> bool:
        if is_interface_name(interface):
            return True
        self.block.mistake(
            f"{interface!r} is not supported as an interface's name",
            "use at most 15 characters, no blank, slash or colon",
            *path,
        )
        return False

    def _two_ended(self, ends: list[Endpoint | None]) -> Link | None:
        first, second = ends
        if first is None or second is None:
            return None
        return Link("veth", (first, second), mtu=self._mtu())

    def _one_ended(
        self, kind: LinkType, endpoint: Endpoint, host_interface: str, *path: str | int
    ) -> Link | None:
        if kind != "dummy" and not self._fits(host_interface, *path):
            return None
        if kind == "macvlan":
            mode = self.block.text("mode") or "bridge"
            if mode not in MACVLAN_MODES:
                self.block.mistake(
                    f"macvlan has no mode {shown(mode)}", f"there are: {', '.join(MACVLAN_MODES)}", "mode"
                )
            return Link(kind, (endpoint,), host_interface, mode=mode)
        return Link(kind, (endpoint,), host_interface, self._mtu())

    def _mtu(self) -> int:
        return self.block.number("mtu", DEFAULT_MTU, 68, 65535)
