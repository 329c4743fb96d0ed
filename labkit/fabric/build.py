"""AddressPlan -> Network: builds all namespaces and what is in them, and removes exactly what it built.

One thread makes the namespaces, some at a time. Each gets its link from its bridge's batch and all the rest
from one batch of its own. No process is started and nothing is looked up: a hundred pods take half a second.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Self

from labkit.errors import BuildError, LabError, RequestError
from labkit.fabric import links
from labkit.fabric.namespace import Namespace, prepare_names
from labkit.fabric.netlink import Message, RouteSocket
from labkit.fabric.resident import Resident
from labkit.fabric.sysctl import write_sysctl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from labkit.spec.addressplan import AddressPlan, LinkPlan, NamespacePlan

    Progress = Callable[[int, int, str], None]

GROUP = 16  # namespaces between two looks at interrupts and at the progress display
READY_TIMEOUT_S = 10.0


class Network:
    """A live network: `namespaces` by name. `close()`, or the end of `with`, removes it."""

    def __init__(self, plan: AddressPlan, namespaces: Mapping[str, Namespace]) -> None:
        """Take over the namespaces that were built after `plan`."""
        self.plan = plan
        self.namespaces = namespaces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def node(self, name: str) -> Namespace:
        """Return a node's namespace. RequestError if there is none."""
        return self.namespaces[self.plan.node(name).name]

    def pod(self, key: str) -> Namespace:
        """Return the namespace of the pod `namespace/name`. RequestError if there is none."""
        return self.namespaces[self.plan.pod(key).name]

    def client(self, name: str) -> Namespace:
        """Return a client's namespace. RequestError if there is none."""
        return self.namespaces[self.plan.client(name).name]

    def unplug(self, name: str) -> None:
        """Cut the link of the namespace `name` at its bridge: what is sent to it vanishes."""
        link = self.plan.link(name)
        outer = self.namespaces[link.outer]
        with outer.run(lambda: RouteSocket(outer.name)) as socket:
            socket.send([links.set_down(link.port.name, link.port.index)])

    def plug_in(self, name: str) -> None:
        """Mend the link of the namespace `name`; it forwards when this returns."""
        link = self.plan.link(name)
        outer = self.namespaces[link.outer]
        with outer.run(lambda: RouteSocket(outer.name)) as socket:
            socket.send([links.set_up(link.port.name, link.port.index)])
            _wait_until_forwarding(socket, outer.name, {link.port.index})

    @property
    def balancer(self) -> Namespace:
        """The namespace of the load balancer outside of the cluster. RequestError if there is none."""
        if self.plan.balancer is None:
            raise RequestError(
                "this lab has no load balancer",
                where="status.loadBalancer.ingress of its Services and Ingresses",
                todo="write an address there, as the shipped lab ingress-trap does",
            )
        return self.namespaces[self.plan.balancer.name]

    def close(self) -> None:
        """Remove all namespaces, whatever happens on the way. A second call does nothing.

        Raises at the end what went wrong first: an interrupt, or BuildError from a namespace still in use.
        """
        _close_all(self.namespaces)


def build_network(plan: AddressPlan, *, on_progress: Progress | None = None) -> Network:
    """Build the network of `plan`; `on_progress(done, total, name)` counts namespaces.

    `on_progress` is called in the caller's thread. Raises BuildError, where a name is taken or the kernel
    refuses something, or CapabilityError; after these and after an interrupt nothing is left.
    """
    builder = _Builder(plan)
    try:
        builder.build(on_progress or (lambda _done, _total, _name: None))
    except BaseException:
        _close_all(builder.namespaces)
        raise
    return Network(plan, builder.namespaces)


class _Builder:
    def __init__(self, plan: AddressPlan) -> None:
        self.plan = plan
        self.namespaces: dict[str, Namespace] = {}  # each is in here as soon as it exists: what to remove
        self.sockets: dict[str, RouteSocket] = {}
        self.ports: dict[str, set[int]] = {}
        self.links = {link.inner: link for link in plan.links}

    def build(self, on_progress: Progress) -> None:
        """Build everything. The maker ends before anybody cleans up, also after an interrupt."""
        prepare_names()
        try:
            with Resident("make namespaces") as maker:
                for group in _groups(self.plan.namespaces):
                    maker.submit(partial(self.make, group)).result()
                    self.connect(group)
                    on_progress(len(self.namespaces), len(self.plan.namespaces), group[-1].name)
            self.wait_until_forwarding()
        finally:
            for socket in self.sockets.values():
                socket.close()

    def make(self, group: Sequence[NamespacePlan]) -> None:
        """Make namespaces with their settings and a socket in each; the calling thread moves through them."""
        for plan in group:
            self.namespaces[plan.name] = Namespace.from_new_network(plan.name)
            self.sockets[plan.name] = RouteSocket(plan.name)
            try:
                for path, value in plan.sysctls:
                    write_sysctl(path, value)
            except LabError as error:
                error.where = error.where or f"network namespace {plan.name}"
                raise

    def connect(self, group: Sequence[NamespacePlan]) -> None:
        """Plug the namespaces of the group in and configure them."""
        plugged = [self.links[plan.name] for plan in group if plan.name in self.links]
        for plan in group:
            if plan.bridge is not None:
                self.sockets[plan.name].send([links.add_bridge(plan.bridge)])
        for outer, inner in groupby(plugged, key=lambda link: link.outer):
            self.plug_in(outer, list(inner))
        for plan in group:
            self.sockets[plan.name].send(configuration(plan))
            if plan.bridge is None:
                self.sockets.pop(plan.name).close()

    def plug_in(self, outer: str, inner: Sequence[LinkPlan]) -> None:
        """Make the links to namespaces that exist, on a bridge that exists."""
        messages = [message for link in inner for message in port(link, self.namespaces[link.inner].fileno())]
        self.sockets[outer].send(messages)
        self.ports.setdefault(outer, set()).update(link.port.index for link in inner)

    def wait_until_forwarding(self) -> None:
        """Wait until every bridge port forwards."""
        for name, ports in self.ports.items():
            _wait_until_forwarding(self.sockets[name], name, ports)


def _wait_until_forwarding(socket: RouteSocket, name: str, ports: set[int]) -> None:
    """Wait until bridge ports forward: the kernel sees a carrier a moment after it is there."""
    if not _missing(socket, ports):
        return
    deadline = time.monotonic() + READY_TIMEOUT_S
    socket.listen_to_links()
    while missing := _missing(socket, ports):
        if not socket.wait_for_event(deadline):
            raise BuildError(
                f"{len(missing)} of {len(ports)} bridge ports do not forward yet",
                where=f"network namespace {name}",
                todo="the machine may be overloaded: try again",
            )


def _missing(socket: RouteSocket, ports: set[int]) -> set[int]:
    return ports - links.forwarding_ports(socket.dump(*links.bridge_ports_request()))


def _groups(plans: Sequence[NamespacePlan]) -> Iterator[Sequence[NamespacePlan]]:
    """Yield the namespaces with bridges first, all at once, then the others some at a time."""
    switches = [plan for plan in plans if plan.bridge is not None]
    leaves = [plan for plan in plans if plan.bridge is None]
    yield switches
    for start in range(0, len(leaves), GROUP):
        yield leaves[start : start + GROUP]


def port(link: LinkPlan, inner_descriptor: int) -> Iterator[Message]:
    """Yield what makes a link, sent in its outer namespace; the inner one is open as the descriptor."""
    yield links.add_veth(link, inner_descriptor)
    if link.hairpin:
        yield links.set_hairpin(link.port)
    yield links.add_forwarding_entry(link.port, link.interface.mac)


def configuration(plan: NamespacePlan) -> Iterator[Message]:
    """Yield what configures a namespace whose links are there."""
    yield links.set_up("lo", links.LOOPBACK_INDEX)  # IPVS refuses real servers where lo was never up
    for interface in dict.fromkeys(address.interface for address in plan.addresses):
        yield links.set_up(interface.name, interface.index)
    yield from map(links.add_address, plan.addresses)
    yield from map(links.add_route, plan.routes)
    yield from map(links.add_neighbour, plan.neighbours)


def _close_all(namespaces: Mapping[str, Namespace]) -> None:
    """Close all of them in another thread, where no interrupt arrives; one that came is raised at the end."""
    interrupt: KeyboardInterrupt | None = None
    closing: Future[None] | None = None
    while closing is None or not closing.done():
        try:
            with Resident("close namespaces") as closer:
                closing = closer.submit(partial(_close_each, namespaces))
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    closing.result()


def _close_each(namespaces: Mapping[str, Namespace]) -> None:
    first: Exception | None = None
    for namespace in namespaces.values():
        try:
            namespace.close()
        except Exception as error:  # noqa: BLE001  one that does not close must not leave the others behind
            first = first or error
    if first is not None:
        raise first
