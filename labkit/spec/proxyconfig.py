"""ProxyConfig: how kube-proxy is configured. `proxyconfigfile.py` reads it.

Defaults: kube-proxy v1.30, pkg/proxy/apis/config/v1alpha1/defaults.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["", "iptables", "ipvs", "nftables"]
DetectLocalMode = Literal["", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]


@dataclass(frozen=True, slots=True)
class IptablesConfig:
    """The `iptables` block; IPVS mode reads its masquerading from here, too."""

    masquerade_all: bool = False
    masquerade_bit: int = 14
    localhost_node_ports: bool = True
    sync_period_s: float = 30.0
    min_sync_period_s: float = 1.0


@dataclass(frozen=True, slots=True)
class IpvsConfig:
    """The `ipvs` block. `scheduler` "" means rr; a timeout of 0 leaves the system's own."""

    scheduler: str = ""
    strict_arp: bool = False
    exclude_cidrs: tuple[str, ...] = ()
    tcp_timeout_s: float = 0.0
    tcp_fin_timeout_s: float = 0.0
    udp_timeout_s: float = 0.0
    sync_period_s: float = 30.0
    min_sync_period_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NftablesConfig:
    """The `nftables` block."""

    masquerade_all: bool = False
    masquerade_bit: int = 14
    sync_period_s: float = 30.0
    min_sync_period_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ConntrackConfig:
    """The `conntrack` block; UDP timeouts of 0 leave the system's own."""

    max_per_core: int = 32_768
    min: int = 131_072
    tcp_established_timeout_s: float = 86_400.0
    tcp_close_wait_timeout_s: float = 3_600.0
    tcp_be_liberal: bool = False
    udp_timeout_s: float = 0.0
    udp_stream_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DetectLocal:
    """How traffic of pods is told from other traffic, for the modes that go by an interface's name."""

    bridge_interface: str = ""
    interface_name_prefix: str = ""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """A KubeProxyConfiguration with every default filled in. `mode` "" is the platform's: iptables."""

    mode: Mode = ""
    cluster_cidr: str = ""
    hostname_override: str = ""
    bind_address: str = "0.0.0.0"
    node_port_addresses: tuple[str, ...] = ()
    iptables: IptablesConfig = IptablesConfig()
    ipvs: IpvsConfig = IpvsConfig()
    nftables: NftablesConfig = NftablesConfig()
    detect_local_mode: DetectLocalMode = "ClusterCIDR"
    detect_local: DetectLocal = DetectLocal()
    conntrack: ConntrackConfig = ConntrackConfig()
