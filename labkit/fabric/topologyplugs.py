"""Plugs: the interfaces of a topology, made on the host, brought into nodes, removed from the host again."""

from __future__ import annotations

import contextlib
import errno
import socket
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from labkit.errors import BuildError
from labkit.fabric import links, topologylinks
from labkit.fabric.netlink import RefusedError, RouteSocket
from labkit.spec.topology import HOST, MACVLAN_MODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.fabric.namespace import Namespace
    from labkit.fabric.netlink import Message
    from labkit.spec.topology import Endpoint, Link, TopologyNode

MANAGEMENT_MTU = 1500


class Plugs:
    """Makes interfaces on `host` and puts them where they belong. `close` ends the sockets, not the work."""

    def __init__(self, host: Namespace, management_bridge: str) -> None:
        """Take over the host's namespace, and the name of the bridge that mgmt-net links lead to."""
        self.host = host
        self.management_bridge = management_bridge
        self._on_host: dict[str, None] = {}  # the host's interfaces that were made here
        self._parked: dict[Link, str] = {}  # the end of a link that waits on the host for its node
        self._sockets: dict[str, RouteSocket] = {}
        self._numbers = count()

    def close(self) -> None:
        """Close the netlink sockets."""
        for route in self._sockets.values():
            route.close()
        self._sockets.clear()

    def send(self, namespace: Namespace, *messages: Message) -> None:
        """Have the kernel do something in a namespace. Raises RefusedError."""
        if namespace.name not in self._sockets:
            self._sockets[namespace.name] = namespace.run(lambda: RouteSocket(namespace.name))
        self._sockets[namespace.name].send(messages)

    def plug_in(self, link: Link, end: Endpoint, node: TopologyNode, namespace: Namespace) -> None:
        """Put one end of a link into its node; what is made for the other node waits on the host."""
        if link.type == "veth":
            name = self._parked.pop(link, "")
            if not name:
                name, self._parked[link] = self.make_pair(link.mtu)
        elif link.type in {"dummy", "macvlan"}:
            name = self._make_single(link)
        else:
            name, outer = self.make_pair(link.mtu)
            bridge = self.management_bridge if link.type == "mgmt-net" else ""
            self._settle(self.host, outer, link.host_interface, bridge=bridge)
        bridge = node.interface if node.kind == "bridge" else ""
        promiscuous = link.type == "macvlan"  # as containerlab makes it
        self.bring(name, namespace, end.interface, end.mac, bridge=bridge, promiscuous=promiscuous)

    def plug_into_management(self, namespace: Namespace, mtu: int) -> None:
        """Give a node its eth0 on the management network."""
        inner, outer = self.make_pair(mtu or MANAGEMENT_MTU)
        self._settle(self.host, outer, f"mgmt{next(self._numbers)}", bridge=self.management_bridge)
        self.bring(inner, namespace, "eth0")

    def make_pair(self, mtu: int) -> tuple[str, str]:
        """Make a veth pair on the host and return the names of its ends."""
        one, other = self._spare_name(), self._spare_name()
        self.send(self.host, topologylinks.make_pair(one, other, mtu))
        return one, other

    def make_bridge(self, namespace: Namespace, name: str) -> None:
        """Make a bridge; one that the host has already is used, and stays."""
        if namespace is self.host:
            with contextlib.suppress(OSError):
                namespace.run(partial(socket.if_nametoindex, name))
                return
            self._on_host[name] = None
        self.send(namespace, topologylinks.make_bridge(name))

    def bring(
        self,
        name: str,
        namespace: Namespace,
        final: str,
        mac: str = "",
        *,
        bridge: str = "",
        promiscuous: bool = False,
    ) -> None:
        """Move an interface from the host to where it belongs and give it its own name and settings."""
        if namespace is not self.host:
            self.send(self.host, topologylinks.move(name, namespace.fileno(), namespace.name))
        self._settle(namespace, name, final, mac, bridge=bridge, promiscuous=promiscuous)

    def index(self, namespace: Namespace, name: str) -> int:
        """Return an interface's index. BuildError where there is none of that name."""
        try:
            return namespace.run(partial(socket.if_nametoindex, name))
        except OSError as error:
            raise BuildError(
                f"there is no interface {name}",
                where="the host" if namespace is self.host else f"node {namespace.name}",
                todo="make it in an earlier stage, by a command with target: host",
            ) from error

    def clear_host(self) -> None:
        """Remove what was made on the host and is still there: a veth's end goes with its peer."""
        with self.host.run(lambda: RouteSocket(HOST)) as route:
            _remove_each(route, self._on_host)

    def _make_single(self, link: Link) -> str:
        name = self._spare_name()
        if link.type == "dummy":
            self.send(self.host, topologylinks.make_dummy(name, link.mtu))
        else:
            parent = self.index(self.host, link.host_interface)
            mode = MACVLAN_MODES[link.mode]
            self.send(self.host, topologylinks.make_macvlan(name, parent, mode, link.host_interface))
        return name

    def _settle(
        self,
        namespace: Namespace,
        name: str,
        final: str,
        mac: str = "",
        *,
        bridge: str = "",
        promiscuous: bool = False,
    ) -> None:
        master = self.index(namespace, bridge) if bridge else 0
        index = self.index(namespace, name)
        self.send(namespace, topologylinks.settle(index, final, mac, master=master, promiscuous=promiscuous))
        if namespace is self.host:
            self._on_host[final] = None

    def _spare_name(self) -> str:
        """Return a name for an interface on the host; a build that ends early removes it from there."""
        name = f"plug{next(self._numbers)}"
        self._on_host[name] = None
        return name


def _remove_each(route: RouteSocket, names: Iterable[str]) -> None:
    for name in names:
        try:
            route.send([links.delete_by_name(name)])
        except RefusedError as error:
            if error.errno != errno.ENODEV:
                raise
