"""What a KubeProxyConfiguration means on one node: marks, who counts as a pod, where node ports listen.

Rules of Kubernetes v1.30 (cmd/kube-proxy/app, pkg/proxy/util). IPVS mode reads its masquerading from the
`iptables` block of the configuration, as kube-proxy does; nftables mode has a block of its own, and other
node port addresses where none are configured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.proxy.rules import Rule
    from labkit.spec.model import Node
    from labkit.spec.proxyconfig import IptablesConfig, NftablesConfig, ProxyConfig

ZONE_LABEL = "topology.kubernetes.io/zone"
LOOPBACK = IPv4Network("127.0.0.0/8")
LOCALHOST = "127.0.0.1"
ANYWHERE = "0.0.0.0/0"
UNSPECIFIED = IPv4Address("0.0.0.0")
_CIDR = re.compile(r"\d+\.\d+\.\d+\.\d+/\d{1,2}")


@dataclass(frozen=True, slots=True)
class LocalDetector:
    """How traffic of pods is told from other traffic: by its source's network, or by where it came in.

    `value` is a CIDR, an interface's name, or what the names of interfaces begin with.
    """

    kind: Literal["network", "interface", "prefix"]
    value: str

    @property
    def match(self) -> Rule:
        """The arguments of iptables that match traffic of pods."""
        if self.kind == "network":
            return ("-s", self.value)
        return ("-i", self.value + "+" if self.kind == "prefix" else self.value)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node and its configuration, in the terms that the planners of all modes need.

    `addresses` are the node's own, loopback aside. `local_detector` is None where the configuration gives no
    way to tell pods by. `node_port_addresses` are those of `addresses` that serve node ports;
    `node_ports_everywhere` says that the configuration did not choose among them.
    `localhost_node_ports`: loopback addresses may serve them, too; `localhost_serves_node_ports`: the chosen
    ones hold 127.0.0.1. `accepts_invalid`: connection tracking tolerates packets outside of a TCP window.
    """

    node: str
    zone: str
    address: str
    addresses: tuple[str, ...]
    mark: str
    masquerade_all: bool
    local_detector: LocalDetector | None
    node_ports_everywhere: bool
    node_port_addresses: tuple[str, ...]
    localhost_node_ports: bool
    localhost_serves_node_ports: bool
    accepts_invalid: bool

    @property
    def from_pod(self) -> Rule:
        """The iptables match for traffic of pods, empty where nothing tells."""
        return self.local_detector.match if self.local_detector else ()

    @property
    def not_from_pod(self) -> Rule:
        """The iptables match for all other traffic, empty where nothing tells."""
        return ("!", *self.from_pod) if self.local_detector else ()


def node_settings(node: Node, config: ProxyConfig, addresses: Sequence[str] = ()) -> NodeSettings:
    """Return what `config` means on `node` in iptables and IPVS mode.

    `addresses` are the node's own (default: its InternalIP). Without node port addresses, all serve.
    """
    return _settings(node, config, config.iptables, addresses, ANYWHERE)


def nftables_settings(node: Node, config: ProxyConfig, addresses: Sequence[str] = ()) -> NodeSettings:
    """Return what `config` means on `node` in nftables mode, whose node ports are never on loopback.

    `addresses` are the node's own (default: its InternalIP). Without node port addresses, the node's main
    one serves.
    """
    settings = _settings(node, config, config.nftables, addresses, f"{_node_address(node, config)}/32")
    return replace(settings, localhost_node_ports=False, localhost_serves_node_ports=False)


def _settings(
    node: Node,
    config: ProxyConfig,
    masquerading: IptablesConfig | NftablesConfig,
    addresses: Sequence[str],
    usual_node_ports: str,
) -> NodeSettings:
    address = _node_address(node, config)
    held = tuple(addresses) or (address,)
    chosen = [text for text in config.node_port_addresses if ipv4_networks([text])] or [usual_node_ports]
    served = ipv4_networks(chosen)
    localhost = config.iptables.localhost_node_ports and _reaches_loopback(served)
    return NodeSettings(
        node=node.name,
        zone=node.labels.get(ZONE_LABEL, ""),
        address=address,
        addresses=held,
        mark=f"{1 << masquerading.masquerade_bit:#010x}",
        masquerade_all=masquerading.masquerade_all,
        local_detector=_local_detector(node, config),
        # kube-proxy compares the text: 10.0.0.0/0 holds every address, and yet is a choice of addresses.
        node_ports_everywhere=ANYWHERE in chosen,
        node_port_addresses=tuple(one for one in held if holds(served, one)),
        localhost_node_ports=localhost,
        localhost_serves_node_ports=localhost and holds(served, LOCALHOST),
        accepts_invalid=config.conntrack.tcp_be_liberal,
    )


def ipv4_networks(texts: Sequence[str]) -> tuple[IPv4Network, ...]:
    """Return the IPv4 networks among `texts`, host bits zeroed; anything else, IPv6 too, is left out."""
    networks = []
    for text in texts:
        trimmed = text.strip()
        if _CIDR.fullmatch(trimmed):
            try:
                networks.append(IPv4Network(trimmed, strict=False))
            except ValueError:
                continue
    return tuple(networks)


def holds(networks: Sequence[IPv4Network], address: str) -> bool:
    """Return whether any of `networks` contains `address`."""
    return any(IPv4Address(address) in network for network in networks)


def _node_address(node: Node, config: ProxyConfig) -> str:
    # 0.0.0.0 binds everywhere and so names none; kube-proxy then asks the Node object.
    bound = config.bind_address
    names_one = ":" not in bound and IPv4Address(bound) != UNSPECIFIED
    return bound if names_one else node.address


def _reaches_loopback(networks: Sequence[IPv4Network]) -> bool:
    return any(
        network.network_address in LOOPBACK or LOOPBACK.network_address in network for network in networks
    )


def _local_detector(node: Node, config: ProxyConfig) -> LocalDetector | None:
    mode = config.detect_local_mode
    if mode == "BridgeInterface":
        return LocalDetector("interface", config.detect_local.bridge_interface)
    if mode == "InterfaceNamePrefix":
        return LocalDetector("prefix", config.detect_local.interface_name_prefix)
    cidrs = node.pod_cidr if mode == "NodeCIDR" else config.cluster_cidr
    networks = ipv4_networks(cidrs.split(","))
    return LocalDetector("network", str(networks[0])) if networks else None
