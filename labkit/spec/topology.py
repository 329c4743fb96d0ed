"""Topology: a network of nodes and links as values, as containerlab would deploy it.

Containerlab's *host* is here the lab's Linux itself: the network namespace that its shell starts in.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NodeKind = Literal["linux", "bridge", "host"]
LinkType = Literal["veth", "host", "mgmt-net", "macvlan", "dummy"]
Stage = Literal["create", "create-links", "configure", "healthy", "exit"]
NODE_KINDS: tuple[NodeKind, ...] = get_args(NodeKind)
LINK_TYPES: tuple[LinkType, ...] = get_args(LinkType)
STAGES: tuple[Stage, ...] = get_args(Stage)
DEFAULT_MTU = 9500  # containerlab's, for all links but macvlan
HOST = "host"
CONTAINER = "container:"
MACVLAN_MODES: Mapping[str, int] = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a link: an interface of a node. Without `mac` Linux chooses one."""

    node: str
    interface: str
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link: `veth` has two ends; of the others one is in a node, and `host_interface` is on the host."""

    type: LinkType
    endpoints: tuple[Endpoint, ...]
    host_interface: str = ""
    mtu: int = DEFAULT_MTU
    mode: str = ""  # a macvlan's


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the host, `source` (relative: to the clab file), seen at `target` in a node."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A node enters its `stage` only when `node` has finished the stage `until`."""

    stage: Stage
    node: str
    until: Stage


@dataclass(frozen=True, slots=True)
class StageCommand:
    """A command of a stage, when the node enters or leaves it, in the node or on the host."""

    stage: Stage
    command: str
    on_exit: bool = False
    on_host: bool = False


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The command (words) that ends with 0 once a node is healthy, and how patiently it is asked."""

    test: tuple[str, ...]
    interval_s: int = 30
    retries: int = 3
    start_period_s: int = 0
    timeout_s: int = 30


@dataclass(frozen=True, slots=True)
class TopologyNode:
    """A node with everything that it inherits. `env`, `labels` and `sysctls` are sorted pairs.

    `network_mode` is "" (the management network), "none", "host" or "container:NODE". `image`, `cmd` and
    `user` are for containerlab alone: in the lab every command is the lab's own Linux's.
    """

    name: str
    kind: NodeKind
    group: str = ""
    network_mode: str = ""
    mgmt_ipv4: str = ""
    image: str = ""
    cmd: str = ""
    user: str = ""
    env: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    binds: tuple[Bind, ...] = ()
    exec: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    stage_commands: tuple[StageCommand, ...] = ()
    healthcheck: HealthCheck | None = None

    @property
    def lives_in(self) -> str:
        """The node whose network namespace this one shares, "host" for the host's, "" for its own."""
        if self.network_mode.startswith(CONTAINER):
            return self.network_mode.removeprefix(CONTAINER)
        return HOST if self.kind != "linux" or self.network_mode == HOST else ""

    @property
    def interface(self) -> str:
        """What a bridge is called in its namespace: `br0|node` is `br0` in the namespace of `node`."""
        return self.name.partition("|")[0]

    @property
    def on_management(self) -> bool:
        """Whether it has an `eth0` on the management network."""
        return self.kind == "linux" and not self.network_mode


@dataclass(frozen=True, slots=True)
class Management:
    """The network that containerlab puts all nodes on unless told otherwise; `bridge` is on the host."""

    bridge: str = ""
    subnet: str = "172.20.20.0/24"
    gateway: str = ""
    mtu: int = 0

    @property
    def gateway_address(self) -> str:
        """The bridge's own address."""
        return self.gateway or str(IPv4Network(self.subnet)[1])

    @property
    def prefix_length(self) -> int:
        """The length of the subnet's prefix."""
        return IPv4Network(self.subnet).prefixlen


@dataclass(frozen=True, slots=True)
class Topology:
    """A lab's nodes and links in the order of its file. `prefix` is what containerlab calls containers by."""

    name: str
    nodes: tuple[TopologyNode, ...]
    links: tuple[Link, ...] = ()
    management: Management = Management()
    prefix: str | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def node(self, name: str) -> TopologyNode:
        """Return the node called `name`. KeyError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def uses_management(self) -> bool:
        """Whether anybody is on the management network."""
        return any(node.on_management for node in self.nodes) or any(
            link.type == "mgmt-net" for link in self.links
        )

    def management_addresses(self) -> Mapping[str, str]:
        """Return the management address of each node that has one: its own, or the next that is free.

        Raises ValueError where the subnet has no more.
        """
        wanted = {node.name: node.mgmt_ipv4 for node in self.nodes if node.on_management}
        taken = {self.management.gateway_address, *wanted.values()}
        free = _free_addresses(self.management.subnet, taken)
        try:
            return {name: address or next(free) for name, address in wanted.items()}
        except StopIteration:
            raise ValueError(f"{self.management.subnet} has no address for each node") from None


def _free_addresses(subnet: str, taken: set[str]) -> Iterator[str]:
    network = IPv4Network(subnet)
    for number in range(int(network[1]), int(network[-1])):
        address = str(IPv4Address(number))
        if address not in taken:
            yield address


def command_words(command: str) -> tuple[str, ...]:
    """Return a command's words: no shell runs it, quotes only hold words together. ValueError: no end."""
    return tuple(shlex.split(command))
