"""One door to the planners: a mode's name in, its plan out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labkit.errors import RequestError
from labkit.proxy.extension import NO_EXTENSION, Extension
from labkit.proxy.iptables import IptablesPlan, plan_iptables_ports
from labkit.proxy.ipvs import IpvsPlan, plan_ipvs_ports
from labkit.proxy.nftables import NftablesPlan, plan_nftables_ports
from labkit.proxy.services import ForwardedPort, forwarded_ports
from labkit.proxy.settings import NodeSettings, nftables_settings, node_settings
from labkit.spec.proxyconfig import ProxyConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.spec.model import ClusterSpec, Node

Mode = Literal["iptables", "nftables", "ipvs"]
MODES: tuple[Mode, ...] = ("iptables", "nftables", "ipvs")
Plan = IptablesPlan | NftablesPlan | IpvsPlan


def known_mode(name: str) -> Mode:
    """Return `name` as a mode that has a planner. Raises RequestError for any other."""
    for mode in MODES:
        if name == mode:
            return mode
    raise RequestError(f"kube-proxy has no mode {name!r}", todo="use one of: " + ", ".join(MODES))


def plan_node(
    mode: Mode,
    cluster: ClusterSpec,
    node: Node,
    config: ProxyConfig,
    *,
    addresses: Sequence[str] = (),
    extension: Extension = NO_EXTENSION,
) -> Plan:
    """Return what kube-proxy in `mode` programs on `node`; only IPVS mode has a use for `extension`."""
    settings = mode_settings(mode, node, config, addresses)
    return plan_ports(mode, forwarded_ports(cluster, settings), settings, config, extension)


def mode_settings(mode: Mode, node: Node, config: ProxyConfig, addresses: Sequence[str]) -> NodeSettings:
    """Return what `config` means on `node` in `mode`; `addresses`: the node's own (none: its InternalIP)."""
    planned_by = nftables_settings if mode == "nftables" else node_settings
    return planned_by(node, config, addresses)


def plan_ports(
    mode: Mode,
    ports: Sequence[ForwardedPort],
    settings: NodeSettings,
    config: ProxyConfig,
    extension: Extension = NO_EXTENSION,
) -> Plan:
    """Return what kube-proxy in `mode` programs on a node that forwards `ports`."""
    if mode == "ipvs":
        return plan_ipvs_ports(ports, settings, config, extension)
    if mode == "nftables":
        return plan_nftables_ports(ports, settings)
    return plan_iptables_ports(ports, settings)


def lab_config(cluster: ClusterSpec) -> ProxyConfig:
    """Return kubeadm's configuration: the defaults, and the cluster's pod CIDR to tell pods by."""
    return ProxyConfig(cluster_cidr=cluster.pod_cidr)


def find_node(cluster: ClusterSpec, name: str) -> Node:
    """Return the node called `name`, the first one for "". Raises RequestError where there is none."""
    for node in cluster.nodes:
        if name in {"", node.name}:
            return node
    todo = "use one of: " + ", ".join(node.name for node in cluster.nodes)
    raise RequestError(f"the cluster has no node {name}", todo=todo)
