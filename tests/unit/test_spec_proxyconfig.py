"""KubeProxyConfiguration: defaults, fields, refusals."""

import pytest

from labkit.errors import Mistake, SpecError
from labkit.spec.proxyconfig import IptablesConfig, IpvsConfig, ProxyConfig
from labkit.spec.proxyconfigfile import read_proxy_config
from labkit.spec.text import Text

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def read(text: str) -> ProxyConfig:
    return read_proxy_config(Text("c", HEAD + text))


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        read_proxy_config(Text("c", text))
    return [str(mistake) for mistake in raised.value.mistakes]


def test_without_a_file_everything_has_kube_proxys_default() -> None:
    assert read_proxy_config(None) == ProxyConfig() == read("")


def test_what_kubeadm_writes_is_read() -> None:
    # The shape of a kubeadm cluster's kube-proxy ConfigMap: empty texts, nulls and zero durations everywhere.
    config = read("""
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 15m0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpEstablishedTimeout: null, udpTimeout: 5s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
iptables: {localhostNodePorts: null, masqueradeBit: null, minSyncPeriod: 1s, syncPeriod: 30s}
ipvs: {excludeCIDRs: null, scheduler: "", strictARP: true, syncPeriod: 1m30s, tcpTimeout: 0s}
logging: {flushFrequency: 0, verbosity: 0}
mode: ipvs
nodePortAddresses: null
oomScoreAdj: null
winkernel: {enableDSR: false}
""")
    assert (config.mode, config.cluster_cidr, config.detect_local_mode) == (
        "ipvs",
        "10.244.0.0/16",
        "ClusterCIDR",
    )
    assert config.ipvs == IpvsConfig(strict_arp=True, sync_period_s=90.0)
    assert config.iptables == IptablesConfig()
    assert (config.conntrack.max_per_core, config.conntrack.udp_timeout_s) == (32768, 5.0)


def test_an_unknown_field_is_named_with_its_place() -> None:
    assert mistakes(HEAD + "clusterCidr: x\nipvs:\n  schedular: rr\nfrobnicate: 1\n") == [
        "c:3:1: kube-proxy has no field clusterCidr (did you mean clusterCIDR?)",
        "c:5:3: kube-proxy has no field ipvs.schedular (did you mean scheduler?)",
        "c:6:1: kube-proxy has no field frobnicate (remove it)",
    ]


NETWORK = "write a network such as 10.244.1.0/24"


@pytest.mark.parametrize(
    ("text", "column", "message", "todo"),
    [
        ("mode: ipvz", 7, "mode cannot be 'ipvz'", "did you mean ipvs? allowed: iptables, ipvs or nftables"),
        ("iptables: {masqueradeBit: 32}", 27, "iptables.masqueradeBit is 32", "it cannot be more than 31"),
        ("ipvs: {syncPeriod: 30}", 20, "ipvs.syncPeriod: 30 has no unit", "write 30s"),
        ("ipvs: {syncPeriod: 0s}", 20, "ipvs.syncPeriod: cannot be 0", "write a duration such as 30s"),
        ("ipvs: {udpTimeout: -1s}", 20, "ipvs.udpTimeout: '-1s' is negative", "write 0s or more"),
        ("ipvs: {strictARP: yess}", 19, "ipvs.strictARP must be true or false, not 'yess'", ""),
        ("nodePortAddresses: [10.0.0.1]", 21, "nodePortAddresses[0]: '10.0.0.1' is not a CIDR", NETWORK),
        (
            "nodePortAddresses: [primary]",
            21,
            "nodePortAddresses[0]: kube-proxy 1.30 does not know 'primary' yet",
            "write the nodes' network, as a CIDR",
        ),
        (
            "ipvs: {scheduler: wwrr}",
            19,
            "Linux has no IPVS scheduler 'wwrr'",
            "did you mean wrr? there are: rr, wrr, lc, wlc, fo, ovf, lblc, lblcr, dh, sh, mh, sed, nq, twos",
        ),
        ("clusterCIDR: 10.0.0.0", 14, "clusterCIDR: '10.0.0.0' is not a CIDR", NETWORK),
        ("clusterCIDR: 10.0.0.0/8,fd00::/200", 14, "clusterCIDR: 'fd00::/200' is not a CIDR", NETWORK),
        ("bindAddress: here", 14, "bindAddress: 'here' is not an address", "write one such as 0.0.0.0"),
        (
            "iptables: {minSyncPeriod: 1m}",
            27,
            "iptables.minSyncPeriod is more than syncPeriod",
            "at most 30s",
        ),
        (
            "detectLocalMode: BridgeInterface",
            18,
            "detectLocalMode BridgeInterface needs a name",
            "write it in detectLocal.bridgeInterface",
        ),
    ],
)
def test_a_mistake_is_told(text: str, column: int, message: str, todo: str) -> None:
    assert mistakes(HEAD + text) == [str(Mistake(f"c:3:{column}", message, todo))]


def test_a_file_holds_one_configuration() -> None:
    said = "c:4:1: a second document (a file holds one KubeProxyConfiguration)"
    assert mistakes(HEAD + "---\n" + HEAD) == [said]


def test_another_object_is_refused() -> None:
    said = mistakes("apiVersion: v1\nkind: ConfigMap\n")
    assert said[0].startswith("c:1:13: apiVersion cannot be 'v1' (")
    assert mistakes("3\n") == ["c:1:1: a KubeProxyConfiguration is a mapping, not 3"]
    assert mistakes("") == ["c: nothing in it (write at least one Kubernetes object)"]


def test_feature_gates_that_would_change_rules_are_refused_by_name() -> None:
    gates = "featureGates:\n  NFTablesProxyMode: true\n  LoadBalancerIPMode: false\n  AllAlpha: true\n"
    would = "would change the rules, which the lab has with kube-proxy 1.30's default"
    assert mistakes(HEAD + gates) == [
        f"c:5:23: LoadBalancerIPMode {would} (leave it true)",
        f"c:6:13: AllAlpha {would} (leave it false)",
    ]
    assert mistakes(HEAD + "featureGates:\n  Other: maybe\n") == [
        "c:4:10: featureGates.Other must be true or false, not 'maybe'"
    ]
    harmless = "featureGates: {NFTablesProxyMode: true, ServiceTrafficDistribution: false}\n"
    assert read(harmless) == read("featureGates: null\n") == ProxyConfig()
