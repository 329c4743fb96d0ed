"""How kube-proxy names service ports, endpoints and chains.

Kubernetes v1.30, pkg/proxy/iptables/proxier.go and pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.spec.model import Protocol

SERVICE_PREFIX = "KUBE-SVC-"
LOCAL_PREFIX = "KUBE-SVL-"
EXTERNAL_PREFIX = "KUBE-EXT-"
FIREWALL_PREFIX = "KUBE-FW-"
ENDPOINT_PREFIX = "KUBE-SEP-"
MOST_NFT_NAME = 240
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # RFC 4648, table 3
_BASE32_PAIRS = tuple(first + second for first in _BASE32 for second in _BASE32)
HASHED_PREFIXES = (SERVICE_PREFIX, LOCAL_PREFIX, EXTERNAL_PREFIX, FIREWALL_PREFIX, ENDPOINT_PREFIX)


def service_port_name(namespace: str, service: str, port: str) -> str:
    """Return `namespace/service:port`, or `namespace/service` for a port without a name."""
    return f"{namespace}/{service}:{port}" if port else f"{namespace}/{service}"


def endpoint_name(address: str, port: int) -> str:
    """Return `address:port`: an endpoint's name within its service port, by which they are sorted."""
    return f"{address}:{port}"


def chain_hash(text: str) -> str:
    """Return the 16 characters that end a chain's name: base32 of SHA-256, cut short."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:10])  # 80 bits make 16 characters
    return "".join([_BASE32_PAIRS[number >> shift & 0x3FF] for shift in range(70, -1, -10)])


def service_hash(port_name: str, protocol: Protocol) -> str:
    """Return the end of a service port's KUBE-SVC-, KUBE-SVL-, KUBE-EXT- and KUBE-FW- chains."""
    return chain_hash(port_name + protocol.lower())


def endpoint_chain(port_name: str, protocol: Protocol, endpoint: str) -> str:
    """Return the KUBE-SEP- chain of `endpoint` (`address:port`) in a service port."""
    return ENDPOINT_PREFIX + chain_hash(port_name + protocol.lower() + endpoint)


def nft_service_base(service: str, port_name: str, protocol: Protocol) -> str:
    """Return what ends a service port's nftables chains: a hash, and names in clear.

    `service` is `namespace/name`, `port_name` "" for a port without a name.
    """
    return _nft_hashed(f"{service}/{protocol.lower()}/{port_name}")


def nft_endpoint_base(
    service: str, port_name: str, protocol: Protocol, endpoint_address: str, endpoint_port: int
) -> str:
    """Return what ends the nftables chain and affinity set of an endpoint in a service port."""
    return _nft_hashed(f"{service}/{protocol.lower()}/{port_name}__{endpoint_address}/{endpoint_port}")


def _nft_hashed(name: str) -> str:
    digest = hashlib.sha256(name.encode()).digest()[:5]  # 5 bytes make 8 characters
    hashed = f"{base64.b32encode(digest).decode()}-{name}"
    return hashed if len(hashed) <= MOST_NFT_NAME else hashed[: MOST_NFT_NAME - 3] + "..."
