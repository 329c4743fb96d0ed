"""Captured: a node's dump beside the plan of what kube-proxy v1.30.3 would program there.

How kube-proxy was configured stands in its rules, where no configuration is given: whom it takes for a pod,
the scheduler of IPVS mode, the addresses that serve node ports.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.proxy.plans import find_node, lab_config, plan_node
from labkit.proxy.restore import render_rule
from labkit.proxy.settings import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.capture.dump import Dump
    from labkit.proxy.plans import Mode, Plan
    from labkit.spec.model import ClusterSpec, Node
    from labkit.spec.proxyconfig import ProxyConfig

_NOT_FROM_PODS = (
    re.compile(r"! -s (\d[\d./]+).* -j KUBE-MARK-MASQ$"),
    re.compile(r"ip saddr != (\d[\d./]+) jump mark-for-masquerade"),
)
_SERVER = re.compile(r"-A \S+ ([\d.]+):(\d+) -s (\w+)")
_NODE_PORT_ADDRESS = re.compile(r"-d ([\d.]+)(?:/32)? .*-j KUBE-NODEPORTS$")


@dataclass(frozen=True, slots=True)
class Captured:
    """A node's `dump`, the cluster it is a node of, and how its kube-proxy is configured.

    `addresses` are the node's own, as far as they are known; `guessed` says in words what of the
    configuration was read out of the dump.
    """

    dump: Dump
    cluster: ClusterSpec
    node: Node
    config: ProxyConfig
    addresses: tuple[str, ...]
    guessed: tuple[str, ...] = ()

    @property
    def mode(self) -> Mode:
        """The mode that kube-proxy ran in."""
        return self.dump.mode

    def plan(self) -> Plan:
        """Return what kube-proxy v1.30.3 would program on the node."""
        return plan_node(self.mode, self.cluster, self.node, self.config, addresses=self.addresses)


def capture_node(
    dump: Dump, cluster: ClusterSpec, node: str = "", config: ProxyConfig | None = None
) -> Captured:
    """Put a dump beside its cluster. `node` may be "" where the cluster has one only.

    Raises RequestError for a node that the cluster does not have, and where none is named among several.
    """
    name = node or (config.hostname_override if config else "")
    if not name and len(cluster.nodes) > 1:
        names = ", ".join(one.name for one in cluster.nodes)
        raise RequestError(
            "the cluster has several nodes", todo=f"say which one printed the rules: --node, one of {names}"
        )
    found = find_node(cluster, name)
    serving = (one for one in _node_port_addresses(dump, cluster) if IPv4Address(one) not in LOOPBACK)
    addresses = tuple(dict.fromkeys((found.address, *serving)))
    if config is not None:
        return Captured(dump, cluster, found, config, addresses)
    guess = _guessed_config(dump, cluster)
    return Captured(dump, cluster, found, guess, addresses, tuple(_told(guess, dump)))


def _guessed_config(dump: Dump, cluster: ClusterSpec) -> ProxyConfig:
    config = lab_config(cluster)
    pods = next(_pod_networks(dump), "")
    schedulers = Counter(found[3] for line in dump.servers or () if (found := _SERVER.match(line)))
    if pods:
        config = replace(config, cluster_cidr=pods)
    if schedulers:
        config = replace(config, ipvs=replace(config.ipvs, scheduler=schedulers.most_common(1)[0][0]))
    return config


def _told(config: ProxyConfig, dump: Dump) -> Iterator[str]:
    yield f"pods are told by the network {config.cluster_cidr}"
    if dump.servers:
        yield f"the scheduler is {config.ipvs.scheduler}"


def _pod_networks(dump: Dump) -> Iterator[str]:
    rules = (
        render_rule(one.rule)
        for table in (dump.tables or {}).values()
        for chain in table.chains.values()
        for one in chain.rules
    )
    for line in (*rules, *(dump.nft or "").splitlines()):
        for pattern in _NOT_FROM_PODS:
            if found := pattern.search(line):
                yield found[1]


def _node_port_addresses(dump: Dump, cluster: ClusterSpec) -> Iterator[str]:
    """Yield the addresses that serve node ports: nothing but a node's own do."""
    ports = {port.node_port for service in cluster.services for port in service.ports if port.node_port}
    for line in dump.servers or ():
        found = _SERVER.match(line)
        if found and int(found[2]) in ports:
            yield found[1]
    nat = (dump.tables or {}).get("nat")
    services = nat.chains.get("KUBE-SERVICES") if nat else None
    for one in services.rules if services else ():
        if found := _NODE_PORT_ADDRESS.match(render_rule(one.rule)):
            yield found[1]
