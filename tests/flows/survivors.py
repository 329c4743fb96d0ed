"""Mutants that no row contradicts, each with its reason.

An equivalent one is the same plan: a proof from the plan itself says that the kernel does the same with every
packet. The others survive because no row asks, or none can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.proxy.plans import Mode


@dataclass(frozen=True, slots=True)
class Survivor:
    """Mutants of `modes` that `pattern` matches; `equivalent`: their reason is a proof."""

    modes: str
    pattern: str
    reason: str
    equivalent: bool = False


SURVIVORS = (
    Survivor(
        "iptables",
        r"other traffic to \S+ will be dropped by",
        "a rule without a target and without a match but its comment: it changes nothing, and the next one is"
        " asked in any case",
        equivalent=True,
    ),
    Survivor(
        "iptables nftables",
        r"default/local-leaving[:/].* (-s|saddr) 10\.244\.1\.2 ",
        "only the external chain's last rule leads here; a packet from 10.244.1.2 leaves that chain by its"
        " first rule, which takes the whole cluster CIDR to another one for good",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"^ipset entry: KUBE-NODE-PORT-(TCP|UDP|SCTP-HASH) (\S+:)?(30002|30003|30015)$",
        "the only rule that asks for this entry stands behind a RETURN on the -LOCAL- set, which has it too",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"--physdev-is-in",
        "the next rule accepts all that this one accepts: whatever the set holds is an address on kube-ipvs0"
        " or another device, so always LOCAL",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"^jump: filter FORWARD .* -j KUBE-PROXY-FIREWALL",
        "the chain matches destinations in KUBE-LOAD-BALANCER-FW only, each of which is an address of the"
        " node: nothing to it is forwarded",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"^rule: filter KUBE-FORWARD .*--mark",
        "every rule that leads to KUBE-MARK-MASQ matches local destinations only; what IPVS makes of such a"
        " packet goes out from LOCAL_IN, past FORWARD",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"^rule: filter KUBE-IPVS-OUT-FILTER -s 203\.0\.113\.21 ",
        "it matches packets of IPVS connections of one virtual server, which has no real server and so never"
        " a connection",
        equivalent=True,
    ),
    Survivor(
        "ipvs",
        r"^ipset entry: KUBE-NODE-PORT-(TCP|UDP) (30004|30010|30011)$",
        "it has a packet marked that IPVS refuses at once, as there is no endpoint: nobody looks at the mark",
    ),
    Survivor(
        "ipvs",
        r"BALANCER-SOURCE-IP 203\.0\.113\.18,|BALANCER-SOURCE-CIDR \S+172\.18\.0\.2(/32)?$",
        "IPVS takes what the node sends in LOCAL_OUT; the stray packet that it leaves to INPUT's firewall"
        " is masqueraded by then",
    ),
)


def survivor_for(mode: Mode, mutant: str) -> Survivor | None:
    """Return what is known of a mutant that survives, None if nothing is."""
    return next(
        (one for one in SURVIVORS if mode in one.modes.split() and re.search(one.pattern, mutant)), None
    )
