"""AddressPlan: a lab's whole network as values, known before anything is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.clients import ClientPlan

Kind = Literal["lan", "node", "pod", "client", "balancer"]
QUIET = (
    ("net/ipv6/conf/all/disable_ipv6", "1"),
)  # duplicate address detection would chatter into measurements

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a namespace."""

    name: str
    index: int
    mac: str


@dataclass(frozen=True, slots=True)
class Address:
    """An address on an interface."""

    interface: Interface
    address: str
    prefix_length: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route; without `via` its destination is on the link, with `onlink` its gateway is."""

    interface: Interface
    destination: str
    via: str = ""
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent entry of the neighbour table: the first packet to `address` needs no ARP."""

    interface: Interface
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A veth pair: `port`, in hairpin mode if `hairpin`, on the bridge of `outer`; `interface` in `inner`."""

    outer: str
    bridge: Interface
    port: Interface
    inner: str
    interface: Interface
    hairpin: bool


@dataclass(frozen=True, slots=True)
class NamespacePlan:
    """One network namespace: what is set and added in it once its links are there. `bridge` if it has one."""

    name: str
    kind: Kind
    bridge: Interface | None = None
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = QUIET


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """The whole network. `namespaces` and `links` are in the order they are built in."""

    namespaces: tuple[NamespacePlan, ...]
    links: tuple[LinkPlan, ...]
    clients: Mapping[str, ClientPlan]
    pod_names: Mapping[str, str] = field(repr=False)  # `namespace/name` -> the namespace the pod lives in
    _by_name: Mapping[str, NamespacePlan] = field(init=False, repr=False, compare=False)
    _link_to: Mapping[str, LinkPlan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {namespace.name: namespace for namespace in self.namespaces})
        object.__setattr__(self, "_link_to", {link.inner: link for link in self.links})

    def namespace(self, name: str) -> NamespacePlan:
        """Return the namespace called `name`. RequestError if there is none."""
        return look_up(self._by_name, name, "network namespace")

    def node(self, name: str) -> NamespacePlan:
        """Return the namespace of a node. RequestError if there is none."""
        return look_up({n.name: n for n in self.namespaces if n.kind == "node"}, name, "node")

    def pod(self, key: str) -> NamespacePlan:
        """Return the namespace of the pod `namespace/name`: its node's for one with host network."""
        return self._by_name[look_up(self.pod_names, key, "pod")]

    def client(self, name: str) -> NamespacePlan:
        """Return the namespace of a client; `clients[name]` has its addresses. RequestError if unknown."""
        return self._by_name[look_up(self.clients, name, "client").name]

    @property
    def balancer(self) -> NamespacePlan | None:
        """The namespace of the load balancer outside of the cluster, if there is one."""
        return next((one for one in self.namespaces if one.kind == "balancer"), None)

    def link(self, name: str) -> LinkPlan:
        """Return the link into the lan, of a node or the balancer, or into its node's bridge, of a pod."""
        return look_up(self._link_to, name, "link into namespace")


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return `table[name]`. RequestError with the known names of this `kind` where it is not there."""
    try:
        return table[name]
    except KeyError:
        known = ", ".join(table) or "none"
        raise RequestError(
            f"there is no {kind} {name!r}", where="the lab's network", todo=f"known: {known}"
        ) from None
