"""The iptables rules of one service port: how traffic finds it, and how it chooses an endpoint.

kube-proxy's own order and wording (v1.30, pkg/proxy/iptables/proxier.go, syncProxyRules and its
writeService...).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.proxy.names import (
    EXTERNAL_PREFIX,
    FIREWALL_PREFIX,
    LOCAL_PREFIX,
    SERVICE_PREFIX,
    endpoint_chain,
    service_hash,
)
from labkit.proxy.rules import Rule, Table, comment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.proxy.endpoints import ServiceEndpoint
    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.settings import NodeSettings

MARK: Rule = ("-j", "KUBE-MARK-MASQ")
_FROM_NODE: Rule = ("-m", "addrtype", "--src-type", "LOCAL")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The filter and nat tables while a planner fills them."""

    filter: dict[str, list[Rule]]
    nat: dict[str, list[Rule]]

    @classmethod
    def declare(cls, filter_chains: Iterable[str], nat_chains: Iterable[str]) -> RuleSet:
        """Return the two tables with these chains, empty."""
        return cls({chain: [] for chain in filter_chains}, {chain: [] for chain in nat_chains})

    def tables(self) -> tuple[Table, Table]:
        """Return what has been filled in, filter first."""
        return (
            Table("filter", {chain: tuple(rules) for chain, rules in self.filter.items()}),
            Table("nat", {chain: tuple(rules) for chain, rules in self.nat.items()}),
        )


@dataclass(frozen=True, slots=True)
class ServiceChains:
    """The chains of one service port: "" for one that it does not have.

    `inside` is where its cluster IP leads, `outside` where KUBE-EXT- leads, `entry` where its load balancer
    VIPs lead; `endpoints` maps each reachable endpoint (`address:port`) to its KUBE-SEP- chain.
    """

    cluster: str
    local: str
    external: str
    firewall: str
    inside: str
    outside: str
    endpoints: Mapping[str, str]

    @property
    def entry(self) -> str:
        """Where the load balancer's VIPs lead."""
        return self.firewall or self.external


def service_chains(port: ForwardedPort) -> ServiceChains:
    """Return the chains that `port` has."""
    end = service_hash(port.name, port.protocol)
    cluster, local = SERVICE_PREFIX + end, LOCAL_PREFIX + end
    return ServiceChains(
        cluster=cluster if port.uses_cluster and port.cluster else "",
        local=local if port.uses_local and port.local else "",
        external=EXTERNAL_PREFIX + end if port.has_any and port.externally_accessible else "",
        firewall=FIREWALL_PREFIX + end if port.has_any and port.vips and port.ranges else "",
        inside=local if port.internal_local else cluster,
        outside=local if port.external_local else cluster,
        endpoints={one.name: endpoint_chain(port.name, port.protocol, one.name) for one in port.reachable},
    )


def add_access_rules(rules: RuleSet, port: ForwardedPort, chains: ServiceChains) -> None:
    """Add the rules by which traffic to the port's addresses finds its chains, or is refused."""
    services, refused = rules.nat["KUBE-SERVICES"], rules.filter["KUBE-EXTERNAL-SERVICES"]
    if port.answers_inside:
        services.append(
            (*comment(f"{port.name} cluster IP"), *_to(port, port.cluster_ip), "-j", chains.inside)
        )
    else:
        rules.filter["KUBE-SERVICES"].append(_refusal(port, _to(port, port.cluster_ip)))
    for address in port.external_ips:
        if port.has_any:
            services.append(
                (*comment(f"{port.name} external IP"), *_to(port, address), "-j", chains.external)
            )
        if not port.answers_outside:
            refused.append(_refusal(port, _to(port, address)))
    for address in port.vips:
        _add_vip_rules(rules, port, chains, address)
    if not port.answers_outside:
        refused.extend(_refusal(port, _to(port, address)) for address in port.vips)
    if port.node_port:
        _add_node_port_rules(rules, port, chains)
    if port.health_port:
        rules.filter["KUBE-NODEPORTS"].append(
            (
                *comment(f"{port.name} health check node port"),
                *("-m", "tcp", "-p", "tcp", "--dport", str(port.health_port), "-j", "ACCEPT"),
            )
        )


def add_service_chains(
    rules: RuleSet, port: ForwardedPort, chains: ServiceChains, settings: NodeSettings, *, explained: bool
) -> None:
    """Add the port's own chains; `explained`: endpoints' rules carry comments (not in large clusters)."""
    named = (chains.external, chains.firewall, chains.cluster, chains.local)
    rules.nat.update((chain, []) for chain in (*named, *chains.endpoints.values()) if chain)
    if port.answers_inside:
        rules.nat[chains.inside].extend(_masquerade_inside(port, settings))
    if chains.external:
        rules.nat[chains.external].extend(_external_rules(port, chains, settings))
    if chains.firewall:
        rules.nat[chains.firewall].extend(_firewall_rules(port, chains))
    for chain, endpoints in ((chains.cluster, port.cluster), (chains.local, port.local)):
        if chain:
            rules.nat[chain].extend(_choice(port, chains, endpoints, explained=explained))
    for endpoint in port.reachable:
        chain = chains.endpoints[endpoint.name]
        rules.nat[chain].extend(_endpoint_rules(port, endpoint, chain, explained=explained))


def _protocol(port: ForwardedPort) -> Rule:
    protocol = port.protocol.lower()
    return ("-m", protocol, "-p", protocol)


def _to(port: ForwardedPort, address: str) -> Rule:
    return (*_protocol(port), "-d", address, "--dport", str(port.port))


def _refusal(port: ForwardedPort, match: Rule) -> Rule:
    text, verdict = ("no local endpoints", "DROP") if port.has_any else ("no endpoints", "REJECT")
    return (*comment(f"{port.name} has {text}"), *match, "-j", verdict)


def _add_vip_rules(rules: RuleSet, port: ForwardedPort, chains: ServiceChains, address: str) -> None:
    if not port.has_any:
        return
    to = _to(port, address)
    rules.nat["KUBE-SERVICES"].append((*comment(f"{port.name} loadbalancer IP"), *to, "-j", chains.entry))
    if chains.firewall:
        text = f"{port.name} traffic not accepted by {chains.firewall}"
        rules.filter["KUBE-PROXY-FIREWALL"].append((*comment(text), *to, "-j", "DROP"))


def _add_node_port_rules(rules: RuleSet, port: ForwardedPort, chains: ServiceChains) -> None:
    number = ("--dport", str(port.node_port))
    if port.has_any:
        rules.nat["KUBE-NODEPORTS"].append(
            (*comment(port.name), *_protocol(port), *number, "-j", chains.external)
        )
    if not port.answers_outside:
        to_node = ("-m", "addrtype", "--dst-type", "LOCAL", *_protocol(port), *number)
        rules.filter["KUBE-EXTERNAL-SERVICES"].append(_refusal(port, to_node))


def _masquerade_inside(port: ForwardedPort, settings: NodeSettings) -> Iterable[Rule]:
    to_cluster_ip = (*comment(f"{port.name} cluster IP"), *_to(port, port.cluster_ip))
    if settings.masquerade_all:
        yield (*to_cluster_ip, *MARK)
    elif settings.not_from_pod:
        yield (*to_cluster_ip, *settings.not_from_pod, *MARK)


def _external_rules(port: ForwardedPort, chains: ServiceChains, settings: NodeSettings) -> Iterable[Rule]:
    destinations = f"{port.name} external destinations"
    if not port.external_local:
        yield (*comment(f"masquerade traffic for {destinations}"), *MARK)
    else:
        if settings.from_pod:
            yield (*comment(f"pod traffic for {destinations}"), *settings.from_pod, "-j", chains.cluster)
        yield (*comment(f"masquerade LOCAL traffic for {destinations}"), *_FROM_NODE, *MARK)
        yield (*comment(f"route LOCAL traffic for {destinations}"), *_FROM_NODE, "-j", chains.cluster)
    if port.answers_outside:
        yield ("-j", chains.outside)


def _firewall_rules(port: ForwardedPort, chains: ServiceChains) -> Iterable[Rule]:
    text = comment(f"{port.name} loadbalancer IP")
    for network in port.ranges:
        yield (*text, "-s", str(network), "-j", chains.external)
    if port.ranges_hold_node:
        # The node itself may reach the VIP; its packets carry the VIP as source once the address is bound
        # to it.
        for address in port.vips:
            yield (*text, "-s", address, "-j", chains.external)
    yield comment(f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL")


def _choice(
    port: ForwardedPort, chains: ServiceChains, endpoints: tuple[ServiceEndpoint, ...], *, explained: bool
) -> Iterable[Rule]:
    """Yield the rules that choose an endpoint: the client's last one with affinity, else any."""
    targets = [
        (comment(f"{port.name} -> {one.name}") if explained else (), chains.endpoints[one.name])
        for one in endpoints
    ]
    if port.affinity_s is not None:
        for text, chain in targets:
            recent = (
                "-m",
                "recent",
                "--name",
                chain,
                "--rcheck",
                "--seconds",
                str(port.affinity_s),
                "--reap",
            )
            yield (*text, *recent, "-j", chain)
    for left, (text, chain) in zip(range(len(targets), 0, -1), targets, strict=True):
        yield (*text, *_with_chance_of_one_in(left), "-j", chain)


@lru_cache(maxsize=1024)
def _with_chance_of_one_in(count: int) -> Rule:
    # Rule i of n is reached only if the i before it let the packet pass: 1/n, 1/(n-1) ... 1 make all
    # equally likely.
    return ("-m", "statistic", "--mode", "random", "--probability", f"{1 / count:.10f}") if count > 1 else ()


def _endpoint_rules(
    port: ForwardedPort, endpoint: ServiceEndpoint, chain: str, *, explained: bool
) -> Iterable[Rule]:
    text = comment(port.name) if explained else ()
    # Hairpin: a pod that reaches itself through the Service must see the node's address, or it would answer
    # itself.
    yield (*text, "-s", endpoint.address, *MARK)
    recent = ("-m", "recent", "--name", chain, "--set") if port.affinity_s is not None else ()
    yield (*text, *recent, *_protocol(port), "-j", "DNAT", "--to-destination", endpoint.name)
