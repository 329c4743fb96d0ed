"""Topology -> LiveTopology: its nodes as network namespaces, its links, its commands, without containers.

Containerlab's host is the network namespace that this process is in. Nodes go through their stages one after
the other, in the order of `plan_steps`.
"""

from __future__ import annotations

import contextlib
import os
from itertools import count
from typing import TYPE_CHECKING, Self

from labkit.errors import BuildError, CapabilityError, RequestError
from labkit.fabric import links
from labkit.fabric.namespace import THIS_NETWORK, Namespace
from labkit.fabric.netlink import RefusedError
from labkit.fabric.topologycommands import (
    Binds,
    Outcome,
    run_in_node,
    run_on_host,
    wait_until_healthy,
    waited_for_health,
)
from labkit.fabric.topologyplugs import Plugs
from labkit.spec.addressplan import Address, Interface, Route
from labkit.spec.clablinks import home_of
from labkit.spec.clabstages import plan_steps
from labkit.spec.topology import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from labkit.spec.clabstages import Step
    from labkit.spec.topology import Topology, TopologyNode

    Progress = Callable[[int, int, str], None]

MANAGEMENT_BRIDGE = "clab-mgmt"
_IPV6_OFF = "net/ipv6/conf/all/disable_ipv6"


class LiveTopology:
    """A live topology. `close()`, or the end of `with`, removes it.

    `namespaces` are the nodes' by name: nodes that share one have the same, a bridge or host node has the
    host's. `outcomes` say how each command ended; containerlab goes on after one that fails, and so is done
    here.
    """

    def __init__(self, topology: Topology) -> None:
        """Hold an empty network that `build_topology` fills."""
        self.topology = topology
        self.namespaces: dict[str, Namespace] = {}
        self.outcomes: list[Outcome] = []
        self.warnings: tuple[str, ...] = topology.warnings
        self.parts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        topology = self.topology
        lines = [f"Topology {topology.name}: {len(topology.nodes)} nodes, {len(topology.links)} links"]
        lines += [f"  {kind:<7}{'  '.join(names)}" for kind, names in _by_kind(topology) if names]
        if any(node.on_management for node in topology.nodes):
            addresses = topology.management_addresses().items()
            lines.append("  eth0   " + "  ".join(f"{name} {address}" for name, address in addresses))
        lines += [f"  warning: {warning}" for warning in self.warnings]
        lines += [f"  failed: {outcome}" for outcome in self.failures]
        return "\n".join(lines)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The commands that did not end with 0."""
        return tuple(outcome for outcome in self.outcomes if outcome.status)

    def node(self, name: str) -> Namespace:
        """Return the namespace of a node. RequestError if there is none."""
        if name not in self.namespaces:
            known = ", ".join(self.namespaces)
            raise RequestError(f"there is no node {name}", where=self.topology.name, todo=f"known: {known}")
        return self.namespaces[name]

    def close(self) -> None:
        """Remove all that was built. A second call does nothing."""
        self.parts.close()


def build_topology(topology: Topology, folder: Path, *, on_progress: Progress | None = None) -> LiveTopology:
    """Build `topology`; its relative binds stand in `folder`, `on_progress(done, total, name)` counts nodes.

    Raises RequestError for binds without a source, BuildError where a name is taken, the kernel refuses
    something or a node does not become healthy, CapabilityError where this process may build nothing. After
    these and after an interrupt nothing is left.
    """
    live = LiveTopology(topology)
    try:
        _Builder(live, folder).build(on_progress or (lambda _done, _total, _name: None))
    except BaseException:
        live.close()
        raise
    return live


def _by_kind(topology: Topology) -> Iterator[tuple[str, list[str]]]:
    for kind in ("linux", "bridge"):
        yield kind, [node.name for node in topology.nodes if node.kind == kind]


class _Builder:
    def __init__(self, live: LiveTopology, folder: Path) -> None:
        self.live = live
        self.topology = live.topology
        self.nodes = {node.name: node for node in live.topology.nodes}
        self.binds = Binds(live.topology, folder)
        live.warnings += self.binds.warnings
        self.host = live.parts.enter_context(Namespace(HOST, os.open(THIS_NETWORK, os.O_RDONLY)))
        self.plugs = Plugs(self.host, live.topology.management.bridge or MANAGEMENT_BRIDGE)
        live.parts.callback(self.plugs.clear_host)
        self.healthy = waited_for_health(live.topology)
        self.steps = {
            "create": self.create,
            "create-links": self.create_links,
            "configure": lambda _node: None,
            "exec": self.execute,
            "healthy": self.wait_for_health,
        }

    def build(self, on_progress: Progress) -> None:
        """Take all steps."""
        steps, stuck = plan_steps(self.topology.nodes)
        if stuck:  # a topology that was read has none
            raise RequestError("nodes wait for one another", where=self.topology.name)
        try:
            if self.topology.uses_management:
                self.make_management()
            configured = count(1)
            for step in steps:
                self.take(step)
                if step.name == "exec":
                    on_progress(next(configured), len(self.nodes), step.node)
        finally:
            self.plugs.close()

    def take(self, step: Step) -> None:
        """Take one step of a node, with the commands of its stage before and after."""
        node = self.nodes[step.node]
        if step.name == "healthy" and node.name not in self.healthy:
            return
        self.run_stage(node, step.name, on_exit=False)
        self.steps[step.name](node)
        self.run_stage(node, step.name, on_exit=True)

    def run_stage(self, node: TopologyNode, stage: str, *, on_exit: bool) -> None:
        """Run the commands that a node has for the beginning or the end of a stage."""
        for one in node.stage_commands:
            if one.stage == stage and one.on_exit == on_exit:
                self.run(node, one.command, on_host=one.on_host)

    def run(self, node: TopologyNode, command: str, *, on_host: bool = False) -> None:
        """Run one command of a node, and note how it ended."""
        if on_host or node.kind == HOST:
            outcome = run_on_host(node, self.host, command)
        else:
            outcome = run_in_node(node, self.live.namespaces[node.name], self.binds, command)
        self.live.outcomes.append(outcome)

    def create(self, node: TopologyNode) -> None:
        """Make a node's network namespace, or find the one it lives in."""
        home = home_of(node.name, self.nodes)
        if home != node.name:
            self.live.namespaces[node.name] = self.host if home == HOST else self.live.namespaces[home]
            if node.kind == "bridge":
                self.plugs.make_bridge(self.live.namespaces[node.name], node.interface)
            return
        namespace = self.live.parts.enter_context(Namespace.create(node.name))
        self.live.namespaces[node.name] = namespace
        for path, value in node.sysctls:
            _write_sysctl(namespace, path, value)
        with contextlib.suppress(CapabilityError):  # a Linux without IPv6
            namespace.write_sysctl(_IPV6_OFF, 0)  # as containerlab does, whatever the file says
        self.plugs.send(namespace, links.set_up("lo", links.LOOPBACK_INDEX))
        if node.on_management:
            self.join_management(node, namespace)

    def create_links(self, node: TopologyNode) -> None:
        """Plug a node's ends of its links in."""
        for link in self.topology.links:
            for end in link.endpoints:
                if end.node == node.name:
                    self.plugs.plug_in(link, end, node, self.live.namespaces[node.name])

    def make_management(self) -> None:
        """Make the management network's bridge with the gateway's address."""
        management, name = self.topology.management, self.plugs.management_bridge
        self.plugs.make_bridge(self.host, name)
        interface = Interface(name, self.plugs.index(self.host, name), "")
        address = Address(interface, management.gateway_address, management.prefix_length)
        with contextlib.suppress(RefusedError):  # a bridge of the host's own may have it already
            self.plugs.send(self.host, links.add_address(address))

    def join_management(self, node: TopologyNode, namespace: Namespace) -> None:
        """Put a node on the management network, with its address there and the default route."""
        management = self.topology.management
        self.plugs.plug_into_management(namespace, management.mtu)
        interface = Interface("eth0", self.plugs.index(namespace, "eth0"), "")
        address = self.topology.management_addresses()[node.name]
        self.plugs.send(
            namespace,
            links.add_address(Address(interface, address, management.prefix_length)),
            links.add_route(Route(interface, "0.0.0.0/0", management.gateway_address)),
        )

    def execute(self, node: TopologyNode) -> None:
        """Run a node's own commands."""
        for command in node.exec:
            self.run(node, command)

    def wait_for_health(self, node: TopologyNode) -> None:
        """Wait until a node's health check is content."""
        wait_until_healthy(node, self.live.namespaces[node.name], self.binds)


def _write_sysctl(namespace: Namespace, path: str, value: str) -> None:
    try:
        namespace.write_sysctl(path, value)
    except (BuildError, CapabilityError) as error:
        error.where = error.where or f"sysctls of node {namespace.name}"
        raise
