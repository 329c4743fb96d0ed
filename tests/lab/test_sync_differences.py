"""A node read back and compared with what it should hold: in words, in every mode."""

from __future__ import annotations

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.fabric.namespace import Namespace
from labkit.proxy.program import available_modes
from labkit.proxy.sync import Proxier
from labkit.spec.proxyconfig import ProxyConfig

pytestmark = pytest.mark.usefixtures("nothing_left")
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16")
RICH = cluster(
    load_balancer(external_ips=("192.0.2.1",), source_ranges=("198.51.100.0/24",), affinity_timeout_s=60),
    slice_of(here(2), here(3), elsewhere(2)),
    service("empty", cluster_ip="10.96.0.11"),
)
DAMAGE = {
    "iptables": {
        "iptables-{0} -t nat -D KUBE-SERVICES 1": "chain nat KUBE-SERVICES lacks: -d 10.96.0.10/32",
        "iptables-{0} -t nat -D OUTPUT 1": "jumps from nat OUTPUT is missing",
        "iptables-{0} -t nat -N KUBE-SVC-MINE": "chain nat KUBE-SVC-MINE should not be there",
        "iptables-{0} -t nat -A KUBE-MARK-MASQ -j RETURN": "chain nat KUBE-MARK-MASQ should not have: -j",
    },
    "ipvs": {
        "ipvsadm -d -t 10.96.0.10:80 -r 10.244.1.2:8080": (
            "virtual server 10.96.0.10:80/TCP lacks: real server 10.244.1.2:8080 with weight 1"
        ),
        "ipvsadm -D -t 10.96.0.11:80": "virtual server 10.96.0.11:80/TCP is missing",
        "ipset del KUBE-CLUSTER-IP 10.96.0.10,tcp:80": "ipset KUBE-CLUSTER-IP lacks: 10.96.0.10,tcp:80",
        "ip address del 192.0.2.1/32 dev kube-ipvs0": "device kube-ipvs0 lacks: 192.0.2.1",
    },
    "nftables": {
        "nft flush chain ip kube-proxy masquerading": "nftables chain masquerading lacks: masquerade",
        "nft delete element ip kube-proxy cluster-ips {{ 10.96.0.11 }}": (
            "nftables set cluster-ips lacks: 10.96.0.11"
        ),
        "nft add chain ip kube-proxy mine": "nftables chain mine should not be there",
    },
}


@pytest.mark.parametrize("mode", available_modes())
def test_every_damage_is_named_and_gone_after_a_resync(mode):
    with Namespace.create("node-1") as node:
        proxier = Proxier(node, NODE.name, mode, CONFIG)
        proxier.sync(RICH)
        assert proxier.differences() == ()
        for line in DAMAGE[mode]:
            done = node.command(line.format(proxier.backend.name).split())
            assert (done.status, done.stderr) == (0, ""), line
        found = proxier.differences()
        for words in DAMAGE[mode].values():
            assert [sentence for sentence in found if sentence.startswith(words)], (words, found)
        proxier.resync()
        assert proxier.differences() == ()
