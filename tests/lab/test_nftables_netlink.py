"""Transactions in netlink do what nft does with their text: nft reads both back the same."""

from __future__ import annotations

import re

import pytest

from labkit.fabric.namespace import Namespace
from labkit.guest.probe import takes_nftables
from labkit.proxy.nftables_messages import encode_statements
from labkit.proxy.nftables_netlink import NftablesSocket
from labkit.proxy.nftables_statements import ADDRESS_MAP, PORT_MAP, Statement, add, rule
from labkit.proxy.program_nft import send_statements

pytestmark = [
    pytest.mark.skipif(not takes_nftables(), reason="this Linux has no nf_tables for IPv4"),
    pytest.mark.usefixtures("nothing_left"),
]
BASE = (
    add("table", ""),
    *(
        add("chain", name)
        for name in ("mark-for-masquerade", "gone", "service-a", "endpoint-a", "endpoint-b")
    ),
    add("map", "service-ips", ADDRESS_MAP),
    add("map", "service-nodeports", PORT_MAP),
    add("set", "cluster-ips", "{ type ipv4_addr ; }"),
    add("set", "affinity-gone", "{ type ipv4_addr ; flags dynamic,timeout ; timeout 60s ; }"),
    rule("service-a", "drop"),
    add("element", "service-nodeports", "{ udp . 30002 : goto service-a }"),
    add("element", "cluster-ips", "{ 10.96.0.9 }"),
)
CHANGES = (
    add("chain", "external-a"),
    Statement("flush", "chain", "service-a"),
    Statement("delete", "element", "service-nodeports", "{ udp . 30002 }"),
    Statement("delete", "element", "cluster-ips", "{ 10.96.0.9 }"),
    Statement("delete", "set", "affinity-gone"),
    Statement("delete", "chain", "gone"),
    add("set", "affinity-a", "{ type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; }"),
    add("element", "cluster-ips", "{ 10.96.0.1 }"),
    add("element", "service-ips", "{ 10.96.0.1 . tcp . 80 : goto service-a }"),
    add("element", "service-ips", '{ 10.96.0.2 . sctp . 65535 comment "ns/a:p" : drop }'),
    add("element", "service-nodeports", '{ udp . 30001 comment "ns/a:p" : goto external-a }'),
    rule("external-a", "jump mark-for-masquerade"),
    rule("external-a", "goto service-a"),
    rule("external-a", 'ip saddr 10.244.0.0/16 goto service-a comment "short-circuit pod traffic"'),
    rule("external-a", 'fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"'),
    *(
        rule(
            "service-a",
            f"ip daddr 10.96.0.1 {protocol} dport 80 ip saddr != {network} jump mark-for-masquerade",
        )
        for protocol, network in (("tcp", "10.0.0.0/8"), ("udp", "10.240.0.0/12"), ("sctp", "10.1.2.4/31"))
    ),
    rule("service-a", "ip saddr @affinity-a goto endpoint-a"),
    rule("service-a", "numgen random mod 2 vmap { 0 : goto endpoint-a , 1 : goto endpoint-b }"),
    rule("endpoint-a", "ip saddr 10.244.1.2 jump mark-for-masquerade"),
    rule("endpoint-a", "update @affinity-a { ip saddr }"),
    rule("endpoint-a", "meta l4proto tcp dnat to 10.244.1.2:8080"),
    rule("endpoint-b", "numgen random mod 1 vmap { 0 : goto endpoint-a }"),
)


def held(namespace):
    """Return the table in nft's words, its expressions as the kernel holds them, and its sets' elements.

    The kernel hands out elements in the order of a hash with a seed of its own.
    """
    done = namespace.command(["nft", "--debug=netlink", "list", "table", "ip", "kube-proxy"])
    assert done.status == 0, done.stderr
    elements = re.findall(r"element (.*?)(?=\telement|\n)", done.stdout)
    return re.sub(r"\telement .*", "", done.stdout), sorted(elements)


def committed(namespace, statements):
    messages = encode_statements(statements)
    with namespace.run(lambda: NftablesSocket(namespace.name)) as netlink:
        refusal = netlink.commit([message for message, _ in messages])
    return refusal and (messages[refusal[0]][1].line, refusal[1])


def test_every_statement_is_what_nft_makes_of_it():
    with Namespace.create("by-nft") as by_nft, Namespace.create("by-netlink") as by_netlink:
        for namespace in (by_nft, by_netlink):
            send_statements(namespace, BASE)
        send_statements(by_nft, CHANGES)
        assert committed(by_netlink, CHANGES) is None
        assert held(by_netlink) == held(by_nft)


def test_a_refused_statement_is_named_and_nothing_of_its_transaction_is_done():
    with Namespace.create("node") as namespace:
        send_statements(namespace, BASE)
        before = held(namespace)
        wrong = rule("endpoint-b", "goto nowhere")
        refused = committed(namespace, (add("chain", "external-a"), wrong, add("chain", "external-b")))
        assert refused == (wrong.line, "No such file or directory")
        assert held(namespace) == before
