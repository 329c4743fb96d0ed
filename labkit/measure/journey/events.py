"""What a journey is made of: events in the order of their happening, packets, lanes, rules, an outcome.

Addresses are written `address:port`, without a port where the protocol has none (ICMP). Empty text and None
mean: not known, or not there. `journey.py` puts them together, `form.py` makes JSON of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labkit import __version__
from labkit.guest.clock import Clock  # noqa: TC001  schema.py reads the annotations at run time
from labkit.measure.records import GuestFacts  # noqa: TC001  see above
from labkit.proxy.printing import KUBE_PROXY
from labkit.traffic.flow import FlowError  # noqa: TC001  see above

Direction = Literal["request", "reply"]
Kind = Literal["interface", "hook", "route", "rule", "ipvs", "conntrack", "nat", "socket", "drop"]
Hook = Literal["", "prerouting", "input", "forward", "output", "postrouting"]
Evidence = Literal["seen", "inferred"]
Source = Literal["tap", "beacon", "iptables TRACE", "nft trace", "ctnetlink", "ftrace", "printk", "rules"]
LaneKind = Literal["client", "pod", "node", "lan", "balancer"]
Packets = Literal["first", "handshake", "all"]


@dataclass(frozen=True, slots=True)
class Headers:
    """What a packet's headers say. `flags` are TCP's letters (S A F R P), or the ICMP message's name."""

    protocol: str
    source: str
    destination: str
    flags: str
    ttl: int
    length: int


@dataclass(frozen=True, slots=True)
class ConntrackTuple:
    """One direction of a tracked connection: where its packets come from and go to."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class ConntrackEntry:
    """A connection as conntrack knows it: `reply` is what an answer looks like before it is translated back.

    `status` are the kernel's flags: SEEN_REPLY, ASSURED, CONFIRMED, SRC_NAT, DST_NAT.
    """

    protocol: str
    original: ConntrackTuple
    reply: ConntrackTuple
    state: str
    status: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a packet, or because of it.

    interface   the packet left or entered `in_interface`/`out_interface`; `frame` are its bytes, as hex
    hook        the packet is at a hook of netfilter, between the steps there; `text` says between which
    route       a routing decision: `verdict` is "to eth0 via 172.18.0.3", "local", or the refusal
    rule        a rule matched (`rule`, from 1, of `chain` in `table`), or a chain's end was reached (None):
                its policy applied; `text` is the rule as its own tool prints it, `verdict` what it did
    ipvs        IPVS chose a real server: `verdict` names it, `text` is the kernel's own line
    conntrack   an entry was made, changed or ended: `verdict` is new, update or destroy
    nat         the headers differ from `before` to `after`; `verdict` is DNAT, SNAT or both, undone for
                replies ("DNAT undone")
    socket      a socket's state changed: `verdict` is "SYN_SENT -> ESTABLISHED"
    drop        the packet ends here; `reason` says why

    `compared` is how many rules were compared up to this one since the chain was entered, this one included;
    0 where nothing is compared. `line` is the number, from 1, of the rule's line in the `text` of the
    namespace's Ruleset. `evidence` is `inferred` where it follows from other events or from the rules, and
    nothing of the kernel's own says so.
    """

    sequence: int
    time_ns: int  # since the journey's first event
    packet: int  # number of a Packet; 0: of none
    direction: Direction | None
    namespace: str
    kind: Kind
    hook: Hook
    in_interface: str
    out_interface: str
    table: str
    chain: str
    rule: int | None
    line: int | None
    text: str
    verdict: str
    reason: str
    compared: int
    mark: int | None
    before: Headers | None
    after: Headers | None
    conntrack: ConntrackEntry | None
    evidence: Evidence
    source: Source
    frame: str


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of the connection: `headers` as they were where it was first seen; `what`: SYN, answer, ..."""

    number: int  # from 1
    direction: Direction
    what: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Lane:
    """A namespace on the way, under the name that `ip netns` shows."""

    namespace: str
    kind: LaneKind


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A namespace's rules, those chains that the connection met, as its own tool prints them."""

    namespace: str
    tool: str  # iptables-save, nft, ipvsadm
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """Who asked whom, and which packets were to be followed: the first, the handshake, or all."""

    client: str
    source: str
    service: str  # "namespace/name:port", or what was asked instead of a Service
    target: str
    protocol: str
    packets: Packets


@dataclass(frozen=True, slots=True)
class Rewrite:
    """An address translation of the connection's first packet: where, of what kind, from what to what."""

    namespace: str
    kind: Literal["DNAT", "SNAT"]
    by: str  # "iptables", "nftables", "ipvs"
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Where the connection ended unanswered, and why; `rule` is the rule's text if one did it."""

    namespace: str
    packet: int
    reason: str
    rule: str
    rejected: bool  # the client was told (RST or ICMP)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the connection.

    `answered_by` is the pod (`namespace/name`) or other namespace whose socket answered the client, and
    `reached` the one that the request came to, answered or not; `seen_as` is the source that it saw there.
    """

    answered_by: str | None
    reached: str | None
    seen_as: str | None
    error: FlowError | None
    rewrites: tuple[Rewrite, ...]
    drop: Drop | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a journey comes from; `missing` names what this Linux could not show, each with the reason."""

    guest: GuestFacts
    clock: Clock
    mode: str
    algorithm: str
    iptables_backend: Literal["legacy", "nft"]
    manifests: tuple[str, ...]
    missing: tuple[str, ...]
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY
