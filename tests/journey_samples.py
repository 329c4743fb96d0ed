# ruff: noqa: E501
"""Journeys written by hand, until recordings take their place: one for each mode, and a drop."""

from __future__ import annotations

from pathlib import Path

from labkit.measure.journey.events import (
    ConntrackEntry,
    ConntrackTuple,
    Drop,
    Event,
    Headers,
    Lane,
    Outcome,
    Packet,
    Provenance,
    Question,
    Rewrite,
    Ruleset,
)
from labkit.measure.journey.form import to_json
from labkit.measure.journey.journey import Journey
from labkit.measure.records import GuestFacts

HERE = Path(__file__).parent / "samples" / "journey"
CLIENT, VIP, POD = "10.244.1.128:40001", "10.96.0.10:80", "10.244.1.2:8080"
RULES = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OZQCCPPYVIHZXZ4Q - [0:0]
:KUBE-SEP-4YRZ6ZLUEKTHXT5E - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-SEP-4YRZ6ZLUEKTHXT5E -p tcp -m comment --comment default/web:http -m tcp -j DNAT --to-destination 10.244.1.2:8080
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-OZQCCPPYVIHZXZ4Q
-A KUBE-SVC-OZQCCPPYVIHZXZ4Q -m comment --comment "default/web:http -> 10.244.1.2:8080" -m statistic --mode random --probability 0.25000000000 -j KUBE-SEP-4YRZ6ZLUEKTHXT5E
COMMIT
"""
NFT = """table ip kube-proxy {
	chain services { # handle 20
		ip daddr . meta l4proto . th dport vmap @service-ips # handle 60
	}
	chain service-YVSKLJHA-default/web/tcp/http { # handle 70
		numgen random mod 4 vmap { 0 : goto endpoint-A-default/web/tcp/http__10.244.1.2/8080 } # handle 75
	}
	chain endpoint-A-default/web/tcp/http__10.244.1.2/8080 { # handle 71
		meta l4proto tcp dnat to 10.244.1.2:8080 # handle 77
	}
}
"""
IPVS = """-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
"""


def headers(source: str, destination: str, flags: str = "S") -> Headers:
    return Headers("TCP", source, destination, flags, 64, 60)


class Story:
    """Collects events; each `tell` is one."""

    def __init__(self):
        self.events: list[Event] = []

    def tell(self, packet, namespace, kind, **fields):
        usual = {
            "hook": "",
            "in_interface": "",
            "out_interface": "",
            "table": "",
            "chain": "",
            "rule": None,
            "line": None,
            "text": "",
            "verdict": "",
            "reason": "",
            "compared": 0,
            "mark": None,
            "before": None,
            "after": None,
            "conntrack": None,
            "evidence": "seen",
            "source": "beacon",
            "frame": "",
        }
        number = len(self.events)
        direction = "request" if packet % 2 else "reply"
        self.events.append(
            Event(number, number * 1700, packet, direction, namespace, kind, **(usual | fields))
        )


def entry(reply_source: str, state: str = "SYN_SENT") -> ConntrackEntry:
    return ConntrackEntry(
        "TCP", ConntrackTuple(CLIENT, VIP), ConntrackTuple(reply_source, CLIENT), state, ("CONFIRMED",)
    )


def iptables_rules(story: Story) -> None:
    rule = {"source": "iptables TRACE", "table": "nat", "hook": "prerouting"}
    story.tell(
        1,
        "node-1",
        "rule",
        chain="PREROUTING",
        rule=1,
        line=6,
        compared=1,
        verdict="jump KUBE-SERVICES",
        text=RULES.splitlines()[5],
        **rule,
    )
    story.tell(
        1,
        "node-1",
        "rule",
        chain="KUBE-SERVICES",
        rule=1,
        line=10,
        compared=1,
        verdict="jump KUBE-SVC-OZQCCPPYVIHZXZ4Q",
        text=RULES.splitlines()[9],
        **rule,
    )
    story.tell(
        1,
        "node-1",
        "rule",
        chain="KUBE-SVC-OZQCCPPYVIHZXZ4Q",
        rule=1,
        line=11,
        compared=1,
        verdict="jump KUBE-SEP-4YRZ6ZLUEKTHXT5E",
        text=RULES.splitlines()[10],
        **rule,
    )
    story.tell(
        1,
        "node-1",
        "rule",
        chain="KUBE-SEP-4YRZ6ZLUEKTHXT5E",
        rule=1,
        line=9,
        compared=1,
        verdict="DNAT to 10.244.1.2:8080",
        text=RULES.splitlines()[8],
        **rule,
    )


def nftables_rules(story: Story) -> None:
    rule = {"source": "nft trace", "table": "ip kube-proxy", "hook": "prerouting"}
    for chain, number, verdict, text in (
        ("services", 1, "goto service-YVSKLJHA-default/web/tcp/http", 2),
        (
            "service-YVSKLJHA-default/web/tcp/http",
            1,
            "goto endpoint-A-default/web/tcp/http__10.244.1.2/8080",
            5,
        ),
        ("endpoint-A-default/web/tcp/http__10.244.1.2/8080", 1, "accept", 8),
    ):
        story.tell(
            1,
            "node-1",
            "rule",
            chain=chain,
            rule=number,
            line=text + 1,
            compared=1,
            verdict=verdict,
            text=NFT.splitlines()[text].strip(),
            **rule,
        )


def journey(mode: str, *, dropped: bool = False) -> Journey:
    story = Story()
    asked, sent = headers(CLIENT, VIP), headers(CLIENT, POD)
    story.tell(1, "client", "socket", verdict="CLOSE -> SYN_SENT", source="ftrace", before=asked)
    story.tell(1, "client", "interface", out_interface="eth0", before=asked, source="tap")
    story.tell(1, "node-1", "interface", in_interface="cni0", before=asked, source="tap")
    story.tell(1, "node-1", "hook", hook="prerouting", text="before NAT", before=asked, mark=0)
    if mode == "iptables" and not dropped:
        iptables_rules(story)
    if mode == "nftables":
        nftables_rules(story)
    if dropped:
        text = '-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable'
        story.tell(1, "node-1", "route", verdict="to eth0 via 172.18.0.1", before=asked, source="ftrace")
        story.tell(
            1,
            "node-1",
            "rule",
            hook="forward",
            table="filter",
            chain="KUBE-SERVICES",
            rule=1,
            line=2,
            compared=1,
            verdict="REJECT",
            text=text,
            before=asked,
            source="iptables TRACE",
        )
        story.tell(
            1,
            "node-1",
            "drop",
            hook="forward",
            verdict="rejected",
            reason="REJECT: ICMP port unreachable",
            text=text,
            before=asked,
            source="ftrace",
        )
        icmp = Headers("ICMP", "10.244.1.1", "10.244.1.128", "port unreachable", 64, 88)
        story.tell(2, "client", "interface", in_interface="eth0", before=icmp, source="tap")
        packets = (Packet(1, "request", "SYN", asked), Packet(2, "reply", "ICMP port unreachable", icmp))
        drop = Drop("node-1", 1, "REJECT: ICMP port unreachable", text, rejected=True)
        outcome = Outcome(None, None, None, "refused", (), drop)
        lanes = (Lane("client", "client"), Lane("node-1", "node"))
        rules = (Ruleset("node-1", "iptables-save", f"*filter\n{text}\nCOMMIT\n"),)
    else:
        hook = "output" if mode == "ipvs" else "prerouting"
        if mode == "ipvs":
            story.tell(1, "node-1", "route", verdict="local", before=asked, source="ftrace")
            story.tell(
                1,
                "node-1",
                "ipvs",
                hook="input",
                table="ip_vs",
                line=2,
                verdict="10.244.1.2:8080",
                text="RR: server 10.244.1.2:8080 activeconns 0 refcnt 1 weight 1",
                source="printk",
            )
        story.tell(1, "node-1", "nat", hook=hook, verdict="DNAT", before=asked, after=sent)
        story.tell(1, "node-1", "route", verdict="to cni0", before=sent, source="ftrace")
        story.tell(1, "node-1", "conntrack", verdict="new", conntrack=entry(POD), source="ctnetlink")
        story.tell(1, "web-1", "interface", in_interface="eth0", before=sent, source="tap")
        story.tell(
            2, "web-1", "interface", out_interface="eth0", before=headers(POD, CLIENT, "SA"), source="tap"
        )
        story.tell(
            2,
            "node-1",
            "nat",
            hook="prerouting",
            verdict="DNAT undone",
            before=headers(POD, CLIENT, "SA"),
            after=headers(VIP, CLIENT, "SA"),
            conntrack=entry(POD, "SYN_RECV"),
        )
        story.tell(
            2, "client", "interface", in_interface="eth0", before=headers(VIP, CLIENT, "SA"), source="tap"
        )
        story.tell(2, "client", "socket", verdict="SYN_SENT -> ESTABLISHED", before=asked, source="ftrace")
        story.tell(
            3, "client", "interface", out_interface="eth0", before=headers(CLIENT, VIP, "A"), source="tap"
        )
        story.tell(
            3, "web-1", "interface", in_interface="eth0", before=headers(CLIENT, POD, "A"), source="tap"
        )
        packets = (
            Packet(1, "request", "SYN", asked),
            Packet(2, "reply", "SYN-ACK", headers(POD, CLIENT, "SA")),
            Packet(3, "request", "ACK", headers(CLIENT, VIP, "A")),
        )
        lanes = (Lane("client", "client"), Lane("node-1", "node"), Lane("web-1", "pod"))
        outcome = Outcome(
            "default/web-1", "default/web-1", CLIENT, None, (Rewrite("node-1", "DNAT", mode, VIP, POD),), None
        )
        rules = {
            "iptables": (Ruleset("node-1", "iptables-save", RULES),),
            "nftables": (Ruleset("node-1", "nft", NFT),),
            "ipvs": (Ruleset("node-1", "ipvsadm", IPVS),),
        }[mode]
    algorithm = "rr" if mode == "ipvs" else "random"
    made = Provenance(
        GuestFacts("uml", "6.12.117-labkit", 1), "real", mode, algorithm, "legacy", ("web",), ()
    )
    question = Question("client", CLIENT, "default/web:http", VIP, "TCP", "handshake")
    return Journey(made, question, lanes, packets, tuple(story.events), rules, outcome)


def samples() -> dict[str, Journey]:
    return {mode: journey(mode) for mode in ("iptables", "ipvs", "nftables")} | {
        "reject": journey("iptables", dropped=True)
    }


if __name__ == "__main__":
    for name, one in samples().items():
        (HERE / f"{name}.json").write_text(to_json(one))
