"""What a KubeProxyConfiguration means on one node: marks, who counts as a pod, where node ports listen.

Rules of Kubernetes v1.30 (cmd/kube-proxy/app, pkg/proxy/util); IPVS mode reads its masquerading from the
`iptables` block of the configuration, as kube-proxy does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.proxy.rules import Rule
    from labkit.spec.model import Node
    from labkit.spec.proxyconfig import ProxyConfig

ZONE_LABEL = "topology.kubernetes.io/zone"
LOOPBACK = IPv4Network("127.0.0.0/8")
ANYWHERE = IPv4Network("0.0.0.0/0")
_CIDR = re.compile(r"\d+\.\d+\.\d+\.\d+/\d{1,2}")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node and its configuration, in the terms that the planners of all modes need.

    `addresses` are the node's own, loopback aside. `from_pod` and `not_from_pod` match traffic by its
    origin; both are empty where the configuration gives no way to tell. `node_port_addresses` are those of
    `addresses` that serve node ports; `node_ports_everywhere` says that the configuration did not choose
    among them. `accepts_invalid`: connection tracking tolerates packets outside of a TCP window.
    """

    node: str
    zone: str
    address: str
    addresses: tuple[str, ...]
    mark: str
    masquerade_all: bool
    from_pod: Rule
    not_from_pod: Rule
    node_ports_everywhere: bool
    node_port_addresses: tuple[str, ...]
    localhost_node_ports: bool
    accepts_invalid: bool


def node_settings(node: Node, config: ProxyConfig, addresses: Sequence[str] = ()) -> NodeSettings:
    """Return what `config` means on `node`, whose own addresses are `addresses` (default: InternalIP)."""
    address = config.bind_address if _names_an_address(config.bind_address) else node.address
    held = tuple(addresses) or (address,)
    served = ipv4_networks(config.node_port_addresses) or (ANYWHERE,)
    from_pod, not_from_pod = _origin(node, config)
    return NodeSettings(
        node=node.name,
        zone=node.labels.get(ZONE_LABEL, ""),
        address=address,
        addresses=held,
        mark=f"{1 << config.iptables.masquerade_bit:#010x}",
        masquerade_all=config.iptables.masquerade_all,
        from_pod=from_pod,
        not_from_pod=not_from_pod,
        node_ports_everywhere=ANYWHERE in served,
        node_port_addresses=tuple(one for one in held if holds(served, one)),
        localhost_node_ports=config.iptables.localhost_node_ports and _reaches_loopback(served),
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


def _names_an_address(bind_address: str) -> bool:
    # 0.0.0.0 binds everywhere and so names none; kube-proxy then asks the Node object.
    return ":" not in bind_address and IPv4Address(bind_address) != ANYWHERE.network_address


def _reaches_loopback(networks: Sequence[IPv4Network]) -> bool:
    return any(
        network.network_address in LOOPBACK or LOOPBACK.network_address in network for network in networks
    )


def _origin(node: Node, config: ProxyConfig) -> tuple[Rule, Rule]:
    mode = config.detect_local_mode
    if mode == "BridgeInterface":
        return _both("-i", config.detect_local.bridge_interface)
    if mode == "InterfaceNamePrefix":
        return _both("-i", config.detect_local.interface_name_prefix + "+")
    cidrs = node.pod_cidr if mode == "NodeCIDR" else config.cluster_cidr
    networks = ipv4_networks(cidrs.split(","))
    return _both("-s", str(networks[0])) if networks else ((), ())


def _both(option: str, value: str) -> tuple[Rule, Rule]:
    return (option, value), ("!", option, value)
