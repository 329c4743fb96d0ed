"""The iptables mode's planner: every table, chain and rule that kube-proxy v1.30 writes on one node.

A packet to a Service walks, in the nat table: KUBE-SERVICES (which address and port?) -> KUBE-SVC-*
(cluster IP) or KUBE-EXT-* (from outside; KUBE-FW-* before it where source ranges apply) -> KUBE-SEP-* (DNAT
to one endpoint). The filter table refuses what has no endpoint. Source: pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit.proxy.iptables_service import (
    RuleSet,
    ServiceChains,
    add_access_rules,
    add_service_chains,
    service_chains,
)
from labkit.proxy.rules import Jump, Rule, Table, comment, forward_rules, masquerade_chains
from labkit.proxy.services import ForwardedPort, forwarded_ports
from labkit.proxy.settings import LOCALHOST, LOOPBACK, NodeSettings, node_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.spec.model import ClusterSpec, Node
    from labkit.spec.proxyconfig import ProxyConfig

LARGE_CLUSTER_ENDPOINTS = 1000
FILTER_CHAINS = (
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
)
NAT_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
_NEW: Rule = ("-m", "conntrack", "--ctstate", "NEW")


def _jump(table: str, chain: str, match: Rule, text: str, target: str) -> Jump:
    explained = comment(text) if text else ()
    return Jump("nat" if table == "nat" else "filter", chain, (*match, *explained, "-j", target))


JUMPS = (
    _jump("filter", "INPUT", _NEW, "kubernetes externally-visible service portals", "KUBE-EXTERNAL-SERVICES"),
    _jump(
        "filter", "FORWARD", _NEW, "kubernetes externally-visible service portals", "KUBE-EXTERNAL-SERVICES"
    ),
    _jump("filter", "INPUT", (), "kubernetes health check service ports", "KUBE-NODEPORTS"),
    _jump("filter", "FORWARD", _NEW, "kubernetes service portals", "KUBE-SERVICES"),
    _jump("filter", "OUTPUT", _NEW, "kubernetes service portals", "KUBE-SERVICES"),
    _jump("filter", "FORWARD", (), "kubernetes forwarding rules", "KUBE-FORWARD"),
    _jump("filter", "INPUT", _NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    _jump("filter", "OUTPUT", _NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    _jump("filter", "FORWARD", _NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    _jump("nat", "OUTPUT", (), "kubernetes service portals", "KUBE-SERVICES"),
    _jump("nat", "PREROUTING", (), "kubernetes service portals", "KUBE-SERVICES"),
    _jump("nat", "POSTROUTING", (), "kubernetes postrouting rules", "KUBE-POSTROUTING"),
    _jump("filter", "INPUT", (), "", "KUBE-FIREWALL"),
    _jump("filter", "OUTPUT", (), "", "KUBE-FIREWALL"),
)
"""In the order of their insertion: each goes to the head of its chain, so the last one stands first."""


@dataclass(frozen=True, slots=True)
class IptablesPlan:
    """What iptables mode programs on `node`: sysctls (path with slashes -> value), jumps, tables.

    `endpoint_chains` names, for every KUBE-SEP- chain, the service port and the endpoint (`address:port`)
    it leads to.
    """

    mode: ClassVar[str] = "iptables"
    node: str
    sysctls: Mapping[str, str]
    jumps: tuple[Jump, ...]
    tables: tuple[Table, ...]
    endpoint_chains: Mapping[str, tuple[str, str]]


def plan_iptables(
    cluster: ClusterSpec, node: Node, config: ProxyConfig, addresses: Sequence[str] = ()
) -> IptablesPlan:
    """Return what kube-proxy in iptables mode programs on `node` of `cluster`, from nothing (a full sync).

    `addresses` are the node's own, loopback aside; by default its InternalIP alone.
    """
    settings = node_settings(node, config, addresses)
    return plan_iptables_ports(forwarded_ports(cluster, settings), settings)


def plan_iptables_ports(ports: Sequence[ForwardedPort], settings: NodeSettings) -> IptablesPlan:
    """Return what iptables mode programs on a node that forwards `ports`."""
    rules = RuleSet.declare(_filter_chains(settings), NAT_CHAINS)
    rules.nat["KUBE-POSTROUTING"], rules.nat["KUBE-MARK-MASQ"] = map(list, masquerade_chains(settings.mark))
    explained = explains_endpoints(sum(len(port.every) for port in ports))
    endpoint_chains: dict[str, tuple[str, str]] = {}
    for port in ports:
        chains = service_chains(port)
        add_access_rules(rules, port, chains)
        add_service_chains(rules, port, chains, settings, explained=explained)
        endpoint_chains.update(_endpoint_chains(port, chains))
    _add_last_rules(rules, settings)
    return IptablesPlan(
        node=settings.node,
        sysctls=_sysctls(settings),
        jumps=JUMPS,
        tables=rules.tables(),
        endpoint_chains=endpoint_chains,
    )


def explains_endpoints(endpoints: int) -> bool:
    """Return whether endpoints' rules carry comments: not in a cluster with so many of them, in any state."""
    return endpoints <= LARGE_CLUSTER_ENDPOINTS


def _sysctls(settings: NodeSettings) -> dict[str, str]:
    wanted = {
        "net/ipv4/conf/all/route_localnet": settings.localhost_node_ports,
        "net/netfilter/nf_conntrack_tcp_be_liberal": settings.accepts_invalid,
    }
    return {path: "1" for path, is_wanted in wanted.items() if is_wanted}


def _filter_chains(settings: NodeSettings) -> tuple[str, ...]:
    return (*FILTER_CHAINS, "KUBE-FIREWALL") if settings.localhost_node_ports else FILTER_CHAINS


def _endpoint_chains(port: ForwardedPort, chains: ServiceChains) -> dict[str, tuple[str, str]]:
    return {chain: (port.name, endpoint) for endpoint, chain in chains.endpoints.items()}


def _add_last_rules(rules: RuleSet, settings: NodeSettings) -> None:
    last = comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    for match in _node_port_matches(settings):
        rules.nat["KUBE-SERVICES"].append((*last, *match, "-j", "KUBE-NODEPORTS"))
    if settings.localhost_node_ports:
        rules.filter["KUBE-FIREWALL"].append(
            (
                *comment("block incoming localnet connections"),
                *("-d", str(LOOPBACK), "!", "-s", str(LOOPBACK)),
                *("-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED,DNAT", "-j", "DROP"),
            )
        )
    if not settings.accepts_invalid:
        # What conntrack calls invalid would be forwarded without NAT; the answer would reset the connection.
        rules.filter["KUBE-FORWARD"].append(("-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"))
    rules.filter["KUBE-FORWARD"].extend(forward_rules(settings.mark))


def _node_port_matches(settings: NodeSettings) -> tuple[Rule, ...]:
    if settings.node_ports_everywhere:
        local: Rule = ("-m", "addrtype", "--dst-type", "LOCAL")
        return (local if settings.localhost_node_ports else (*local, "!", "-d", str(LOOPBACK)),)
    loopback = (LOCALHOST,) if settings.localhost_serves_node_ports else ()
    return tuple(("-d", address) for address in (*settings.node_port_addresses, *loopback))
