"""The constant set of iptables rules that stands beside IPVS: masquerading, source ranges, unknown ports.

Their number does not grow with the Services: they ask ipsets. Order and wording of Kubernetes v1.30,
pkg/proxy/ipvs/proxier.go.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from labkit.proxy.rules import Jump, Rule, Table, TableName, comment, forward_rules, masquerade_chains
from labkit.proxy.settings import LOOPBACK, NodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.proxy.ipvs_sets import IpSet
    from labkit.proxy.services import ForwardedPort

NAT_CHAINS = ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ")
FILTER_CHAINS = (
    "KUBE-FORWARD",
    "KUBE-NODE-PORT",
    "KUBE-PROXY-FIREWALL",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
)
_MARK: Rule = ("-j", "KUBE-MARK-MASQ")
_TO_NODE: Rule = ("-m", "addrtype", "--dst-type", "LOCAL")


def _jump(table: TableName, chain: str, text: str, target: str) -> Jump:
    return Jump(table, chain, (*comment(text), "-j", target))


JUMPS = (
    _jump("nat", "OUTPUT", "kubernetes service portals", "KUBE-SERVICES"),
    _jump("nat", "PREROUTING", "kubernetes service portals", "KUBE-SERVICES"),
    _jump("nat", "POSTROUTING", "kubernetes postrouting rules", "KUBE-POSTROUTING"),
    _jump("filter", "FORWARD", "kubernetes forwarding rules", "KUBE-FORWARD"),
    _jump("filter", "INPUT", "kubernetes health check rules", "KUBE-NODE-PORT"),
    _jump("filter", "INPUT", "kube-proxy firewall rules", "KUBE-PROXY-FIREWALL"),
    _jump("filter", "FORWARD", "kube-proxy firewall rules", "KUBE-PROXY-FIREWALL"),
    _jump("filter", "INPUT", "kubernetes ipvs access filter", "KUBE-IPVS-FILTER"),
    _jump("filter", "OUTPUT", "kubernetes ipvs access filter", "KUBE-IPVS-OUT-FILTER"),
)
"""In the order of their insertion: each goes to the head of its chain, so the last one stands first."""


def ipvs_tables(
    ports: Sequence[ForwardedPort], settings: NodeSettings, sets: Mapping[str, IpSet]
) -> tuple[Table, Table]:
    """Return nat and filter; rules about an empty set are left out where kube-proxy leaves them out."""
    nat: defaultdict[str, list[Rule]] = defaultdict(list)
    for chain, rule in _nat_rules(settings, sets):
        nat[chain].append(rule)
    postrouting, mark = masquerade_chains(settings.mark)
    nat["KUBE-POSTROUTING"].extend(postrouting)
    nat["KUBE-MARK-MASQ"].extend(mark)
    filter_: defaultdict[str, list[Rule]] = defaultdict(list)
    for chain, rule in (*_source_range_rules(ports, sets), *_access_rules(sets)):
        filter_[chain].append(rule)
    filter_["KUBE-FORWARD"].extend(forward_rules(settings.mark))
    return (
        Table("nat", {chain: tuple(nat[chain]) for chain in NAT_CHAINS}),
        Table("filter", {chain: tuple(filter_[chain]) for chain in FILTER_CHAINS}),
    )


def _member(one: IpSet, directions: str) -> Rule:
    return ("-m", "set", "--match-set", one.name, directions)


def _explained(one: IpSet, directions: str) -> Rule:
    return (*comment(one.comment), *_member(one, directions))


def _nat_rules(settings: NodeSettings, sets: Mapping[str, IpSet]) -> Iterator[tuple[str, Rule]]:
    yield "KUBE-SERVICES", ("-s", str(LOOPBACK), "-j", "RETURN")
    if (loop := sets["KUBE-LOOP-BACK"]).members:
        yield "KUBE-POSTROUTING", (*_explained(loop, "dst,dst,src"), "-j", "MASQUERADE")
    if (balancer := sets["KUBE-LOAD-BALANCER"]).members:
        yield "KUBE-SERVICES", (*_explained(balancer, "dst,dst"), "-j", "KUBE-LOAD-BALANCER")
    if (local := sets["KUBE-LOAD-BALANCER-LOCAL"]).members:
        yield "KUBE-LOAD-BALANCER", (*_explained(local, "dst,dst"), "-j", "RETURN")
    yield from _node_port_rules(sets)
    if (cluster := sets["KUBE-CLUSTER-IP"]).members:
        yield "KUBE-SERVICES", (*_from_outside(cluster, settings), *_MARK)
    yield from _external_ip_rules(sets)
    yield "KUBE-SERVICES", (*_TO_NODE, "-j", "KUBE-NODE-PORT")
    yield "KUBE-LOAD-BALANCER", _MARK
    for one in (cluster, balancer):
        if one.members:
            yield "KUBE-SERVICES", (*_member(one, "dst,dst"), "-j", "ACCEPT")


def _node_port_rules(sets: Mapping[str, IpSet]) -> Iterator[tuple[str, Rule]]:
    for protocol, end, directions in (
        ("tcp", "TCP", "dst"),
        ("udp", "UDP", "dst"),
        ("sctp", "SCTP-HASH", "dst,dst"),
    ):
        if (local := sets[f"KUBE-NODE-PORT-LOCAL-{end}"]).members:
            yield "KUBE-NODE-PORT", ("-p", protocol, *_explained(local, directions), "-j", "RETURN")
        if (every := sets[f"KUBE-NODE-PORT-{end}"]).members:
            yield "KUBE-NODE-PORT", ("-p", protocol, *_explained(every, directions), *_MARK)


def _from_outside(cluster: IpSet, settings: NodeSettings) -> Rule:
    if settings.masquerade_all:
        return _explained(cluster, "dst,dst")
    if settings.not_from_pod:
        return (*_explained(cluster, "dst,dst"), *settings.not_from_pod)
    # Without a way to know pods: the node picks the VIP itself as source, since kube-ipvs0 makes it a local
    # address.
    return _explained(cluster, "src,dst")


def _external_ip_rules(sets: Mapping[str, IpSet]) -> Iterator[tuple[str, Rule]]:
    from_elsewhere: Rule = (
        "-m",
        "physdev",
        "!",
        "--physdev-is-in",
        "-m",
        "addrtype",
        "!",
        "--src-type",
        "LOCAL",
    )
    for name, marked in (("KUBE-EXTERNAL-IP", True), ("KUBE-EXTERNAL-IP-LOCAL", False)):
        if (one := sets[name]).members:
            match = _explained(one, "dst,dst")
            if marked:
                yield "KUBE-SERVICES", (*match, *_MARK)
            yield "KUBE-SERVICES", (*match, *from_elsewhere, "-j", "ACCEPT")
            yield "KUBE-SERVICES", (*match, *_TO_NODE, "-j", "ACCEPT")


def _source_range_rules(
    ports: Sequence[ForwardedPort], sets: Mapping[str, IpSet]
) -> Iterator[tuple[str, Rule]]:
    if (firewalled := sets["KUBE-LOAD-BALANCER-FW"]).members:
        yield "KUBE-PROXY-FIREWALL", (*_explained(firewalled, "dst,dst"), "-j", "KUBE-SOURCE-RANGES-FIREWALL")
    for name in ("KUBE-LOAD-BALANCER-SOURCE-CIDR", "KUBE-LOAD-BALANCER-SOURCE-IP"):
        if (one := sets[name]).members:
            yield "KUBE-SOURCE-RANGES-FIREWALL", (*_explained(one, "dst,dst,src"), "-j", "RETURN")
    yield "KUBE-SOURCE-RANGES-FIREWALL", ("-j", "DROP")
    for port in ports:
        if port.ranges and not port.ranges_hold_node:
            virtual = ("--vproto", port.protocol.lower(), "--vport", str(port.port), "-j", "DROP")
            for vip in port.vips:
                yield "KUBE-IPVS-OUT-FILTER", ("-s", vip, "-m", "ipvs", "--vaddr", vip, *virtual)


def _access_rules(sets: Mapping[str, IpSet]) -> Iterator[tuple[str, Rule]]:
    health = sets["KUBE-HEALTH-CHECK-NODE-PORT"]
    yield "KUBE-NODE-PORT", (*_explained(health, "dst"), "-j", "ACCEPT")
    for name in ("KUBE-LOAD-BALANCER", "KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
        yield "KUBE-IPVS-FILTER", (*_member(sets[name], "dst,dst"), "-j", "RETURN")
    yield "KUBE-IPVS-FILTER", (*_member(health, "dst"), "-j", "RETURN")
    new = ("-m", "conntrack", "--ctstate", "NEW")
    yield "KUBE-IPVS-FILTER", (*new, *_member(sets["KUBE-IPVS-IPS"], "dst"), "-j", "REJECT")
