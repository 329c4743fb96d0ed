"""KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) -> ProxyConfig.

Fields, defaults and checks: pkg/proxy/apis/config (v1alpha1/types.go, defaults.go, validation.go). Fields
without a meaning in the lab are accepted and left unread; a field that kube-proxy does not have is a mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from labkit.errors import SpecError
from labkit.spec.documents import Document, Findings, read_documents
from labkit.spec.fields import Cidr, Duration, Fields, Many, Period, cidr, refusal
from labkit.spec.ipv4 import is_ipv4
from labkit.spec.proxyconfig import (
    ConntrackConfig,
    DetectLocal,
    DetectLocalMode,
    IptablesConfig,
    IpvsConfig,
    Mode,
    NftablesConfig,
    ProxyConfig,
)
from labkit.spec.schedulers import unknown_scheduler
from labkit.spec.wording import dotted, nearest, shown, worded

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.spec.text import Text

KIND = "KubeProxyConfiguration"
FIXED_GATES = {
    "LoadBalancerIPMode": True,
    "TopologyAwareHints": True,
    "ServiceTrafficDistribution": False,
    "AllAlpha": False,
    "AllBeta": True,
}
"""The feature gates of v1.30 that decide about rules, and their defaults. Of others nothing here depends."""


def _node_port_address(text: str) -> str:
    if text == "primary":
        raise refusal("kube-proxy 1.30 does not know 'primary' yet", "write the nodes' network, as a CIDR")
    return cidr(text)


def _cluster_cidr(text: str) -> str:
    for part in text.split(",") if text else ():
        cidr(part.strip())
    return text


def _address(text: str) -> str:
    if not is_ipv4(text) and ":" not in text:
        raise refusal(f"{text!r} is not an address", "write one such as 0.0.0.0")
    return text


Bit = Annotated[int, Field(ge=0, le=31)]
Unread = Any


class _Block(Fields):
    """A block of the configuration: unknown fields are refused, as kube-proxy's strict decoder does."""

    model_config = ConfigDict(extra="forbid")


class _Iptables(_Block):
    masquerade_bit: Bit = 14
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    sync_period: Period = 30.0
    min_sync_period: Duration = 1.0


class _Ipvs(_Block):
    sync_period: Period = 30.0
    min_sync_period: Duration = 0.0
    scheduler: str = ""
    exclude_cidrs: Many[Cidr] = Field(default=(), alias="excludeCIDRs")
    strict_arp: bool = Field(default=False, alias="strictARP")
    tcp_timeout: Duration = 0.0
    tcp_fin_timeout: Duration = 0.0
    udp_timeout: Duration = 0.0


class _Nftables(_Block):
    masquerade_bit: Bit = 14
    masquerade_all: bool = False
    sync_period: Period = 30.0
    min_sync_period: Duration = 1.0


class _Conntrack(_Block):
    max_per_core: Annotated[int, Field(ge=0)] = 32_768
    min: Annotated[int, Field(ge=0)] = 131_072
    tcp_established_timeout: Duration = 86_400.0
    tcp_close_wait_timeout: Duration = 3_600.0
    tcp_be_liberal: bool = False
    udp_timeout: Duration = 0.0
    udp_stream_timeout: Duration = 0.0


class _DetectLocal(_Block):
    bridge_interface: str = ""
    interface_name_prefix: str = ""


class _Configuration(_Block):
    api_version: Literal["kubeproxy.config.k8s.io/v1alpha1"]
    kind: Literal["KubeProxyConfiguration"]
    mode: Mode = ""
    cluster_cidr: Annotated[str, AfterValidator(_cluster_cidr)] = Field(default="", alias="clusterCIDR")
    hostname_override: str = ""
    bind_address: Annotated[str, AfterValidator(_address)] = "0.0.0.0"
    node_port_addresses: Many[Annotated[str, AfterValidator(_node_port_address)]] = ()
    iptables: _Iptables = _Iptables()
    ipvs: _Ipvs = _Ipvs()
    nftables: _Nftables = _Nftables()
    detect_local_mode: DetectLocalMode = ""
    detect_local: _DetectLocal = _DetectLocal()
    conntrack: _Conntrack = _Conntrack()
    feature_gates: dict[str, bool] | None = None
    client_connection: Unread = None
    logging: Unread = None
    healthz_bind_address: Unread = None
    metrics_bind_address: Unread = None
    bind_address_hard_fail: Unread = None
    enable_profiling: Unread = None
    show_hidden_metrics_for_version: Unread = None
    winkernel: Unread = None
    oom_score_adj: Unread = None
    config_sync_period: Unread = None
    port_range: Unread = None
    windows_run_as_service: Unread = None


def read_proxy_config(source: Path | Text | None) -> ProxyConfig:
    """Return a KubeProxyConfiguration, the defaults without a source.

    Raises:
        SpecError: every mistake, each with its place.

    """
    if source is None:
        return ProxyConfig()
    findings = Findings()
    documents = read_documents([source], findings)
    if len(documents) > 1:
        findings.mistake(documents[1].place(), "a second document", f"a file holds one {KIND}")
    made = _configuration(documents[0], findings) if documents else None
    findings.raise_mistakes()
    if made is None:  # pragma: no cover - every way to None has found a mistake
        raise SpecError([])
    return _config(made)


def _configuration(document: Document, findings: Findings) -> _Configuration | None:
    if not isinstance(document.value, dict):
        findings.mistake(document.place(), f"a {KIND} is a mapping, not {shown(document.value)}")
        return None
    try:
        made = _Configuration.model_validate(document.value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = details["loc"]
            if details["type"] == "extra_forbidden":
                findings.mistake(
                    document.key_place(*path), f"kube-proxy has no field {dotted(path)}", _suggestion(path)
                )
            else:
                findings.mistake(document.place(*path), *worded(details))
        return None
    _check(made, document, findings)
    return made


def _suggestion(path: tuple[str | int, ...]) -> str:
    block: type[Fields] = _Configuration
    for step in path[:-1]:
        block = block.model_fields[str(step)].annotation  # type: ignore[assignment] # it is a block
    names = [field.alias or name for name, field in block.model_fields.items()]
    meant = nearest(str(path[-1]), names)
    return f"did you mean {meant}?" if meant else "remove it"


def _check_gates(made: _Configuration, document: Document, findings: Findings) -> None:
    for gate, wanted in (made.feature_gates or {}).items():
        if FIXED_GATES.get(gate, wanted) != wanted:
            findings.mistake(
                document.place("featureGates", gate),
                f"{gate} would change the rules, which the lab has with kube-proxy 1.30's default",
                f"leave it {str(FIXED_GATES[gate]).lower()}",
            )


def _check(made: _Configuration, document: Document, findings: Findings) -> None:
    _check_gates(made, document, findings)
    for name, block in (("iptables", made.iptables), ("ipvs", made.ipvs), ("nftables", made.nftables)):
        if block.min_sync_period > block.sync_period:
            findings.mistake(
                document.place(name, "minSyncPeriod"),
                f"{name}.minSyncPeriod is more than syncPeriod",
                f"at most {block.sync_period:g}s",
            )
    message, todo = unknown_scheduler(made.ipvs.scheduler or "rr")
    if message:
        findings.mistake(document.place("ipvs", "scheduler"), message, todo)
    needed = {
        "BridgeInterface": ("bridgeInterface", made.detect_local.bridge_interface),
        "InterfaceNamePrefix": ("interfaceNamePrefix", made.detect_local.interface_name_prefix),
    }
    field, value = needed.get(made.detect_local_mode, ("", "unused"))
    if not value:
        findings.mistake(
            document.place("detectLocalMode"),
            f"detectLocalMode {made.detect_local_mode} needs a name",
            f"write it in detectLocal.{field}",
        )


def _config(made: _Configuration) -> ProxyConfig:
    ipt, ipvs, nft, conntrack = made.iptables, made.ipvs, made.nftables, made.conntrack
    return ProxyConfig(
        mode=made.mode,
        cluster_cidr=made.cluster_cidr,
        hostname_override=made.hostname_override,
        bind_address=made.bind_address,
        node_port_addresses=made.node_port_addresses,
        iptables=IptablesConfig(
            ipt.masquerade_all,
            ipt.masquerade_bit,
            ipt.localhost_node_ports,
            ipt.sync_period,
            ipt.min_sync_period,
        ),
        ipvs=IpvsConfig(
            ipvs.scheduler,
            ipvs.strict_arp,
            ipvs.exclude_cidrs,
            ipvs.tcp_timeout,
            ipvs.tcp_fin_timeout,
            ipvs.udp_timeout,
            ipvs.sync_period,
            ipvs.min_sync_period,
        ),
        nftables=NftablesConfig(nft.masquerade_all, nft.masquerade_bit, nft.sync_period, nft.min_sync_period),
        detect_local_mode=made.detect_local_mode or "ClusterCIDR",
        detect_local=DetectLocal(made.detect_local.bridge_interface, made.detect_local.interface_name_prefix),
        conntrack=ConntrackConfig(
            conntrack.max_per_core,
            conntrack.min,
            conntrack.tcp_established_timeout,
            conntrack.tcp_close_wait_timeout,
            conntrack.tcp_be_liberal,
            conntrack.udp_timeout,
            conntrack.udp_stream_timeout,
        ),
    )
