"""Mutants that no row can tell from the plan, each with the reason: (modes, pattern, reason)."""

from __future__ import annotations

import re

from labkit.proxy.plans import Mode

_EMPTY = r"10\.96\.0\.(14|16|20|21)|198\.51\.100\.14|203\.0\.113\.14|10\.244\.1\.1"
SURVIVORS: tuple[tuple[str, str, str], ...] = (
    (
        "iptables ipvs nftables",
        r"MARK --xor-mark|mark set mark xor",
        "for a second pass through the chain; a packet that goes to another namespace loses its mark anyway",
    ),
    (
        "iptables",
        r"^jump: filter OUTPUT -j KUBE-FIREWALL",
        "what a node sends to its own loopback meets KUBE-FIREWALL again in INPUT",
    ),
    (
        "iptables",
        r"other traffic to \S+ will be dropped by",
        "a rule without a target: it does nothing",
    ),
    (
        "iptables",
        r"^rule: nat KUBE-FW-\w+ .*default/guarded-node:tcp loadbalancer IP\" -s 203\.0\.113\.18 ",
        "only a node that has the load balancer's address sends from it (Service `own-node` is such a case)",
    ),
    (
        "iptables nftables",
        r"default/(cluster|sticky)[:/].* (-s|saddr) 10\.244\.2\.2 ",
        "an endpoint of node-2 that meets itself by way of node-1 is masqueraded already",
    ),
    (
        "iptables nftables",
        r"default/not-ready[:/].* (-s|saddr) 10\.244\.2\.2 ",
        "the endpoint has no way by which node-1 would lead it to itself",
    ),
    (
        "iptables nftables",
        r"default/local-leaving[:/].* (-s|saddr) 10\.244\.1\.2 ",
        "the endpoint has no way by which node-1 would lead it to itself",
    ),
    (
        "nftables",
        r"^element: no-endpoint-services \{ 10\.96\..* goto reject-chain",
        "an unknown port of a cluster IP is refused all the same, by cluster-ips-check",
    ),
    (
        "nftables",
        r"^rule: external-\w+-default/(absent|local-leaving)/\S+ fib saddr type local jump",
        "to another node's endpoint a node goes with the address that masquerading would give it",
    ),
    (
        "nftables",
        r"firewall-\w+-default/guarded-node/\S+ .* without 203\.0\.113\.18$",
        "only a node that has the load balancer's address sends from it (Service `own-node` is such a case)",
    ),
    (
        "ipvs",
        r"^setting: net/ipv4/vs/expire_",
        "it speaks about endpoints that go; the table's stay",
    ),
    (
        "ipvs",
        r"^rule: filter KUBE-IPVS-OUT-FILTER -s 203\.0\.113\.21 ",
        "Service `guarded-empty` has no endpoint to which anything could be sent",
    ),
    (
        "ipvs",
        r"^jump: filter FORWARD .* -j KUBE-PROXY-FIREWALL",
        "in IPVS mode a load balancer's address is the node's own: nothing to it is forwarded",
    ),
    (
        "ipvs",
        r"--physdev-is-in",
        "the next rule accepts all that this one accepts: an external IP on kube-ipvs0 is always LOCAL",
    ),
    (
        "ipvs",
        r"^rule: filter KUBE-FORWARD .*--mark",
        "IPVS sends a marked packet out from LOCAL_IN, past FORWARD",
    ),
    (
        "ipvs",
        r"KUBE-LOAD-BALANCER-SOURCE-IP|KUBE-LOAD-BALANCER-SOURCE-CIDR \S+172\.18\.0\.2(/32)?$",
        "IPVS takes what a node sends itself in LOCAL_OUT: it never meets the firewall in INPUT",
    ),
    (
        "ipvs",
        r"^rule: filter KUBE-IPVS-FILTER .*KUBE-HEALTH-CHECK-NODE-PORT",
        "the health check port is asked at a node's address, never at one on kube-ipvs0",
    ),
    (
        "ipvs",
        rf"^ipset entry: KUBE-(CLUSTER-IP|EXTERNAL-IP|LOAD-BALANCER) ({_EMPTY}),\w+:8[03]$",
        "without endpoints it is refused all the same, by KUBE-IPVS-FILTER instead of IPVS",
    ),
    (
        "ipvs",
        r"^ipset entry: KUBE-NODE-PORT-(TCP|UDP) (30004|30010|30011)$",
        "without endpoints nothing is sent that could be masqueraded",
    ),
    (
        "iptables nftables",
        r"default/sticky[:/].* (-s|saddr) 10\.244\.1\.2 ",
        "affinity: it is left to chance whether a pod ever meets itself, so no row asks",
    ),
    (
        "ipvs",
        r"^ipset entry: KUBE-NODE-PORT-(TCP|UDP|SCTP-HASH) (\S+:)?(30002|30003|30015)$",
        "the port is in the -LOCAL- set too, which is asked first",
    ),
)


def reason_for(mode: Mode, mutant: str) -> str:
    """Return why a mutant survives, "" if nobody knows."""
    return next(
        (why for modes, pattern, why in SURVIVORS if mode in modes.split() and re.search(pattern, mutant)), ""
    )
