"""The ipsets of kube-proxy's IPVS mode: their names, types, comments, and members for given service ports.

IPVS itself cannot tell who must be masqueraded or refused; a constant number of iptables rules asks these
sets. Names and comments of Kubernetes v1.30, pkg/proxy/ipvs/ipset.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.settings import NodeSettings


@dataclass(frozen=True, slots=True)
class IpSet:
    """One ipset.

    `members` stand as `ipset` prints them, sorted; `comment` is what the rules that use the set carry.
    """

    name: str
    type: str
    comment: str
    members: tuple[str, ...]

    @property
    def options(self) -> str:
        """The words after the type when the set is created."""
        return "range 0-65535" if self.type == "bitmap:port" else "family inet hashsize 1024 maxelem 65536"


_PURPOSE = "for masquerade purpose"
_LOCAL = "with externalTrafficPolicy=local"
SETS = (
    (
        "KUBE-LOOP-BACK",
        "hash:ip,port,ip",
        "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
    ),
    ("KUBE-CLUSTER-IP", "hash:ip,port", f"Kubernetes service cluster ip + port {_PURPOSE}"),
    (
        "KUBE-EXTERNAL-IP",
        "hash:ip,port",
        "Kubernetes service external ip + port for masquerade and filter purpose",
    ),
    ("KUBE-EXTERNAL-IP-LOCAL", "hash:ip,port", f"Kubernetes service external ip + port {_LOCAL}"),
    ("KUBE-LOAD-BALANCER", "hash:ip,port", "Kubernetes service lb portal"),
    ("KUBE-LOAD-BALANCER-LOCAL", "hash:ip,port", f"Kubernetes service load balancer ip + port {_LOCAL}"),
    (
        "KUBE-LOAD-BALANCER-FW",
        "hash:ip,port",
        "Kubernetes service load balancer ip + port for load balancer with sourceRange",
    ),
    (
        "KUBE-LOAD-BALANCER-SOURCE-IP",
        "hash:ip,port,ip",
        "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
    ),
    (
        "KUBE-LOAD-BALANCER-SOURCE-CIDR",
        "hash:ip,port,net",
        "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
    ),
    ("KUBE-NODE-PORT-TCP", "bitmap:port", f"Kubernetes nodeport TCP port {_PURPOSE}"),
    ("KUBE-NODE-PORT-LOCAL-TCP", "bitmap:port", f"Kubernetes nodeport TCP port {_LOCAL}"),
    ("KUBE-NODE-PORT-UDP", "bitmap:port", f"Kubernetes nodeport UDP port {_PURPOSE}"),
    ("KUBE-NODE-PORT-LOCAL-UDP", "bitmap:port", f"Kubernetes nodeport UDP port {_LOCAL}"),
    (
        "KUBE-NODE-PORT-SCTP-HASH",
        "hash:ip,port",
        f"Kubernetes nodeport SCTP port {_PURPOSE} with type 'hash ip:port'",
    ),
    (
        "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
        "hash:ip,port",
        f"Kubernetes nodeport SCTP port {_LOCAL} with type 'hash ip:port'",
    ),
    ("KUBE-HEALTH-CHECK-NODE-PORT", "bitmap:port", "Kubernetes health check node port"),
    ("KUBE-IPVS-IPS", "hash:ip", ""),
)
SET_NAMES = frozenset(name for name, _, _ in SETS)
"""(name, type, comment) of every set; all of them exist always, empty or not."""


def plan_sets(
    ports: Iterable[ForwardedPort], settings: NodeSettings, bound_addresses: Iterable[str]
) -> dict[str, IpSet]:
    """Return every set by name; `bound_addresses` are those on kube-ipvs0."""
    members: dict[str, set[str]] = {name: set() for name, _, _ in SETS}
    for port in ports:
        for name, member in set_members(port, settings):
            members[name].add(member)
    members["KUBE-IPVS-IPS"].update(bound_addresses)
    return {name: IpSet(name, type_, text, tuple(sorted(members[name]))) for name, type_, text in SETS}


def set_members(port: ForwardedPort, settings: NodeSettings) -> Iterator[tuple[str, str]]:
    """Yield (set, member) of one service port; KUBE-IPVS-IPS is made of the addresses bound."""
    protocol = port.protocol.lower()
    end = f"{protocol}:{port.port}"
    yield "KUBE-CLUSTER-IP", f"{port.cluster_ip},{end}"
    for one in port.every:
        if one.local:
            yield "KUBE-LOOP-BACK", f"{one.address},{protocol}:{one.port},{one.address}"
    for address in port.external_ips:
        yield "KUBE-EXTERNAL-IP-LOCAL" if port.external_local else "KUBE-EXTERNAL-IP", f"{address},{end}"
    for address in port.vips:
        yield from _vip_members(port, f"{address},{end}", address)
    if settings.node_port_addresses or not port.node_port:
        yield from _node_port_members(port, settings)


def _vip_members(port: ForwardedPort, entry: str, address: str) -> Iterator[tuple[str, str]]:
    yield "KUBE-LOAD-BALANCER", entry
    if port.external_local:
        yield "KUBE-LOAD-BALANCER-LOCAL", entry
    if port.ranges:
        yield "KUBE-LOAD-BALANCER-FW", entry
    for network in port.ranges:
        yield "KUBE-LOAD-BALANCER-SOURCE-CIDR", f"{entry},{network}"
    if port.ranges_hold_node:
        yield "KUBE-LOAD-BALANCER-SOURCE-IP", f"{entry},{address}"


def _node_port_members(port: ForwardedPort, settings: NodeSettings) -> Iterator[tuple[str, str]]:
    if port.health_port:
        yield "KUBE-HEALTH-CHECK-NODE-PORT", str(port.health_port)
    if not port.node_port:
        return
    names = ["KUBE-NODE-PORT", "KUBE-NODE-PORT-LOCAL"] if port.external_local else ["KUBE-NODE-PORT"]
    for name in names:
        if port.protocol == "SCTP":
            for address in settings.node_port_addresses:
                yield f"{name}-SCTP-HASH", f"{address},sctp:{port.node_port}"
        else:
            yield f"{name}-{port.protocol}", str(port.node_port)
