"""The nftables mode's planner: the transaction that kube-proxy v1.30 sends to nft on one node.

A packet to a Service walks, in the one table `kube-proxy`: services, a single look-up in the map service-ips
(address, protocol, port) or service-nodeports -> service-* (cluster IP) or external-* (from outside) ->
endpoint-* (DNAT to one endpoint). The chains *-endpoints-check and firewall-check refuse what has no endpoint
or comes from the wrong source. Source: pkg/proxy/nftables/proxier.go; the mode was alpha then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit.proxy.nftables_service import service_statements
from labkit.proxy.nftables_statements import ADDRESS_MAP, PORT_MAP, Kind, Statement, add, emptied_chain, rule
from labkit.proxy.services import ForwardedPort, forwarded_ports
from labkit.proxy.settings import LOOPBACK, NodeSettings, nftables_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.model import ClusterSpec, Node
    from labkit.spec.proxyconfig import ProxyConfig

_BASE_CHAINS = {
    "filter-prerouting": "type filter hook prerouting priority -110",
    "filter-input": "type filter hook input priority -110",
    "filter-forward": "type filter hook forward priority -110",
    "filter-output": "type filter hook output priority -110",
    "filter-output-post-dnat": "type filter hook output priority -90",
    "nat-prerouting": "type nat hook prerouting priority -100",
    "nat-output": "type nat hook output priority -100",
    "nat-postrouting": "type nat hook postrouting priority 100",
}
_NEW = "ct state new "
_JUMPS = (
    ("filter-input", _NEW, "nodeport-endpoints-check"),
    ("filter-input", _NEW, "service-endpoints-check"),
    ("filter-forward", _NEW, "service-endpoints-check"),
    ("filter-output", _NEW, "service-endpoints-check"),
    ("filter-prerouting", _NEW, "firewall-check"),
    ("filter-output", _NEW, "firewall-check"),
    ("nat-output", "", "services"),
    ("nat-prerouting", "", "services"),
    ("nat-postrouting", "", "masquerading"),
    ("filter-forward", _NEW, "cluster-ips-check"),
    ("filter-output-post-dnat", _NEW, "cluster-ips-check"),
)
_BY_ADDRESS = "ip daddr . meta l4proto . th dport vmap"
_BY_PORT = "meta l4proto . th dport vmap"
_REFILLED: tuple[tuple[Kind, str], ...] = (
    ("set", "cluster-ips"),
    ("map", "firewall-ips"),
    ("map", "no-endpoint-services"),
    ("map", "no-endpoint-nodeports"),
    ("map", "service-ips"),
    ("map", "service-nodeports"),
)


@dataclass(frozen=True, slots=True)
class NftablesPlan:
    """What nftables mode programs on `node`: sysctls (path with slashes -> value), and one transaction."""

    mode: ClassVar[str] = "nftables"
    node: str
    sysctls: Mapping[str, str]
    transaction: tuple[Statement, ...]


def plan_nftables(
    cluster: ClusterSpec, node: Node, config: ProxyConfig, addresses: Sequence[str] = ()
) -> NftablesPlan:
    """Return what kube-proxy in nftables mode programs on `node` of `cluster`, from nothing (a full sync).

    `addresses` are the node's own, loopback aside; by default its InternalIP alone.
    """
    settings = nftables_settings(node, config, addresses)
    return plan_nftables_ports(forwarded_ports(cluster, settings), settings)


def plan_nftables_ports(ports: Sequence[ForwardedPort], settings: NodeSettings) -> NftablesPlan:
    """Return what nftables mode programs on a node that forwards `ports`."""
    return NftablesPlan(
        node=settings.node,
        sysctls={"net/netfilter/nf_conntrack_tcp_be_liberal": "1"} if settings.accepts_invalid else {},
        transaction=(
            *_base_statements(),
            *_masquerade_statements(settings),
            *_check_statements(settings),
            *_dispatch_statements(settings),
            *(Statement("flush", kind, name) for kind, name in _REFILLED),
            *(statement for port in ports for statement in service_statements(port, settings)),
        ),
    )


def _base_statements() -> Iterator[Statement]:
    yield add("table", "")
    for chain in _BASE_CHAINS:
        # A base chain of another version may have another priority: only a new chain gets this one.
        yield add("chain", chain)
        yield Statement("delete", "chain", chain)
    for chain, hook in _BASE_CHAINS.items():
        yield add("chain", chain, f"{{ {hook} ; }}")
        yield Statement("flush", "chain", chain)
    declared = set[str]()
    for chain, match, target in _JUMPS:
        if target not in declared:
            yield from emptied_chain(target)
            declared.add(target)
        yield rule(chain, f"{match}jump {target}")


def _masquerade_statements(settings: NodeSettings) -> Iterator[Statement]:
    mark = settings.mark
    yield from emptied_chain("mark-for-masquerade")
    yield rule("mark-for-masquerade", f"mark set mark or {mark}")
    yield rule("masquerading", f"mark and {mark} == 0 return")
    yield rule("masquerading", f"mark set mark xor {mark}")
    yield rule("masquerading", "masquerade fully-random")


def _check_statements(settings: NodeSettings) -> Iterator[Statement]:
    """Yield what refuses traffic: to unknown ports of cluster IPs, without endpoints, from wrong sources."""
    yield add("set", "cluster-ips", "{ type ipv4_addr ; }")
    explained = 'comment "Reject traffic to invalid ports of ClusterIPs"'
    yield rule("cluster-ips-check", f"ip daddr @cluster-ips reject {explained}")
    yield from _node_port_set(settings)
    yield add("map", "no-endpoint-services", ADDRESS_MAP)
    yield add("map", "no-endpoint-nodeports", PORT_MAP)
    yield from emptied_chain("reject-chain")
    yield rule("reject-chain", "reject")
    yield rule("service-endpoints-check", f"{_BY_ADDRESS} @no-endpoint-services")
    to_node = f"ip daddr != {LOOPBACK}" if settings.node_ports_everywhere else "ip daddr @nodeport-ips"
    yield rule("nodeport-endpoints-check", f"{to_node} {_BY_PORT} @no-endpoint-nodeports")
    yield add("map", "firewall-ips", ADDRESS_MAP)
    yield rule("firewall-check", f"{_BY_ADDRESS} @firewall-ips")


def _node_port_set(settings: NodeSettings) -> Iterator[Statement]:
    yield add("set", "nodeport-ips", "{ type ipv4_addr ; }")
    if settings.node_ports_everywhere:
        yield Statement("delete", "set", "nodeport-ips")
        return
    yield Statement("flush", "set", "nodeport-ips")
    for address in settings.node_port_addresses:
        yield add("element", "nodeport-ips", f"{{ {address} }}")


def _dispatch_statements(settings: NodeSettings) -> Iterator[Statement]:
    yield add("map", "service-ips", ADDRESS_MAP)
    yield add("map", "service-nodeports", PORT_MAP)
    yield rule("services", f"{_BY_ADDRESS} @service-ips")
    everywhere = f"fib daddr type local ip daddr != {LOOPBACK}"
    to_node = everywhere if settings.node_ports_everywhere else "ip daddr @nodeport-ips"
    yield rule("services", f"{to_node} {_BY_PORT} @service-nodeports")
