"""The IPVS mode's planner: virtual servers, kube-ipvs0's addresses, ipsets, and the few iptables rules.

Source: Kubernetes v1.30, pkg/proxy/ipvs/proxier.go. What a plan holds is kube-proxy's; an Extension adds
the lab's per-Service schedulers and per-pod weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit.proxy.extension import NO_EXTENSION, Extension
from labkit.proxy.ipvs_rules import JUMPS, ipvs_tables
from labkit.proxy.ipvs_sets import IpSet, plan_sets
from labkit.proxy.services import ForwardedPort, forwarded_ports
from labkit.proxy.settings import NodeSettings, node_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.proxy.endpoints import ServiceEndpoint
    from labkit.proxy.rules import Jump, Table
    from labkit.spec.model import ClusterSpec, Node, Protocol
    from labkit.spec.proxyconfig import ProxyConfig

DEVICE = "kube-ipvs0"
DEFAULT_SCHEDULER = "rr"
PERSISTENT = 0x1
MH_PORT = 0x10


@dataclass(frozen=True, slots=True)
class RealServer:
    """One endpoint behind a virtual server, reached by NAT. Weight 0 takes no new connections."""

    address: str
    port: int
    weight: int = 1

    @property
    def name(self) -> str:
        """`address:port`."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """One address and port that IPVS balances.

    `timeout_s` is the affinity's, 0 without; `service_port` its owner.
    """

    address: str
    port: int
    protocol: Protocol
    scheduler: str
    flags: int
    timeout_s: int
    real_servers: tuple[RealServer, ...]
    service_port: str

    @property
    def key(self) -> str:
        """`address:port/PROTOCOL`."""
        return f"{self.address}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class IpvsTimeouts:
    """How long idle connections are remembered, in seconds; 0 leaves the guest's own value."""

    tcp_s: int
    tcp_fin_s: int
    udp_s: int

    @property
    def any(self) -> bool:
        """Whether there is anything to set."""
        return bool(self.tcp_s or self.tcp_fin_s or self.udp_s)


@dataclass(frozen=True, slots=True)
class IpvsPlan:
    """What IPVS mode programs on `node`.

    `addresses` are bound on the dummy device kube-ipvs0; virtual servers inside `excluded_cidrs` are
    somebody else's and never removed.
    """

    mode: ClassVar[str] = "ipvs"
    node: str
    sysctls: Mapping[str, str]
    jumps: tuple[Jump, ...]
    tables: tuple[Table, ...]
    ipsets: tuple[IpSet, ...]
    addresses: tuple[str, ...]
    virtual_servers: tuple[VirtualServer, ...]
    timeouts: IpvsTimeouts
    excluded_cidrs: tuple[str, ...]


def plan_ipvs(
    cluster: ClusterSpec,
    node: Node,
    config: ProxyConfig,
    addresses: Sequence[str] = (),
    extension: Extension = NO_EXTENSION,
) -> IpvsPlan:
    """Return what kube-proxy in IPVS mode programs on `node` of `cluster`, from nothing (a full sync).

    `addresses` are the node's own, loopback aside; by default its InternalIP alone. No list of schedulers
    is enforced: the guest refuses one that it lacks when the plan is applied.
    """
    settings = node_settings(node, config, addresses)
    return plan_ipvs_ports(forwarded_ports(cluster, settings), settings, config, extension)


def plan_ipvs_ports(
    ports: Sequence[ForwardedPort],
    settings: NodeSettings,
    config: ProxyConfig,
    extension: Extension = NO_EXTENSION,
) -> IpvsPlan:
    """Return what IPVS mode programs on a node that forwards `ports`."""
    bound = tuple(dict.fromkeys(address for port in ports for address in bound_addresses(port, settings)))
    sets = plan_sets(ports, settings, bound)
    return IpvsPlan(
        node=settings.node,
        sysctls=_sysctls(config),
        jumps=JUMPS,
        tables=ipvs_tables(ports, settings, sets),
        ipsets=tuple(sets.values()),
        addresses=bound,
        # Where two Services claim one address and port, IPVS holds one of them: the last one written.
        virtual_servers=tuple(
            {
                server.key: server
                for port in ports
                for server in virtual_servers(port, settings, config, extension)
            }.values()
        ),
        timeouts=_timeouts(config),
        excluded_cidrs=tuple(config.ipvs.exclude_cidrs),
    )


def _timeouts(config: ProxyConfig) -> IpvsTimeouts:
    seconds = (config.ipvs.tcp_timeout_s, config.ipvs.tcp_fin_timeout_s, config.ipvs.udp_timeout_s)
    return IpvsTimeouts(*(int(one) for one in seconds))  # the guest counts whole seconds


def _sysctls(config: ProxyConfig) -> dict[str, str]:
    wanted = {
        "net/ipv4/vs/conntrack": "1",
        "net/ipv4/vs/expire_nodest_conn": "1",
        "net/ipv4/vs/expire_quiescent_template": "1",
        "net/ipv4/ip_forward": "1",
    }
    strict = {"net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}
    return wanted | strict if config.ipvs.strict_arp else wanted


def bound_addresses(port: ForwardedPort, settings: NodeSettings) -> Iterator[str]:
    """Yield the addresses of a service port that the node binds on kube-ipvs0: all but its own."""
    yield port.cluster_ip
    yield from (address for address in (*port.external_ips, *port.vips) if address not in settings.addresses)


def virtual_servers(
    port: ForwardedPort, settings: NodeSettings, config: ProxyConfig, extension: Extension
) -> Iterator[VirtualServer]:
    """Yield the virtual servers of a service port: one for each address and port that leads to it."""
    scheduler = extension.schedulers.get(port.service) or config.ipvs.scheduler or DEFAULT_SCHEDULER
    flags = (PERSISTENT if port.affinity_s is not None else 0) | (MH_PORT if scheduler == "mh" else 0)
    inside = _real_servers(port, extension, local=port.internal_local)
    outside = _real_servers(port, extension, local=port.external_local)
    node_ports = settings.node_port_addresses if port.node_port else ()
    for address, number, real_servers in (
        (port.cluster_ip, port.port, inside),
        *((address, port.port, outside) for address in (*port.external_ips, *port.vips)),
        *((address, port.node_port, outside) for address in node_ports),
    ):
        yield VirtualServer(
            *(address, number, port.protocol, scheduler, flags, port.affinity_s or 0, real_servers),
            service_port=port.name,
        )


def _real_servers(port: ForwardedPort, extension: Extension, *, local: bool) -> tuple[RealServer, ...]:
    # Policy Local without a local endpoint falls back to the whole cluster here, where iptables mode drops.
    endpoints: tuple[ServiceEndpoint, ...] = (port.local if local else ()) or port.cluster
    return tuple(
        RealServer(one.address, one.port, extension.weights.get(one.address, 1)) for one in endpoints
    )
