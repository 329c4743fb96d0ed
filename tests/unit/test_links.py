"""Our messages, read by another implementation: pyroute2's decoders."""

from __future__ import annotations

import struct

from clusters import cluster_of
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from labkit.fabric import links
from labkit.fabric.netlink import Message, attribute, read_attributes
from labkit.spec.addressing import plan_addresses
from labkit.spec.addressplan import Address, Interface, Neighbour, Route

PLAN = plan_addresses(cluster_of(pods=1))
ETH0 = Interface("eth0", 2, "0a:58:0a:f4:01:02")


def read(message: Message, kind: type) -> object:
    header = struct.pack("=IHHII", 16 + len(message.body), message.kind, message.flags, 1, 0)
    decoded = kind(header + message.body)
    decoded.decode()
    return decoded


def test_a_veth_pair_is_one_message_with_the_port_up_on_its_bridge_and_the_peer_in_its_namespace():
    link = PLAN.link("web-0")
    message = read(links.add_veth(link, inner_descriptor=17), ifinfmsg)
    peer = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "VETH_INFO_PEER")
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
    assert (message["index"], message["flags"], message.get_attr("IFLA_IFNAME")) == (
        link.port.index,
        1,
        "veth-web-0",
    )
    assert (message.get_attr("IFLA_MASTER"), message.get_attr("IFLA_ADDRESS")) == (
        link.bridge.index,
        link.port.mac,
    )
    assert (peer["index"], peer.get_attr("IFLA_IFNAME"), peer.get_attr("IFLA_NET_NS_FD")) == (2, "eth0", 17)
    assert peer.get_attr("IFLA_ADDRESS") == link.interface.mac


def test_a_bridge_knows_no_multicast_and_no_vlan():
    message = read(links.add_bridge(Interface("cni0", 3, "0a:58:0a:f4:01:01")), ifinfmsg)
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "bridge"
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_BR_MCAST_SNOOPING") == 0
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_BR_VLAN_DEFAULT_PVID") == 0


def test_an_address_is_local_and_has_its_prefix():
    message = read(links.add_address(Address(ETH0, "10.244.1.2", 24)), ifaddrmsg)
    assert (message["index"], message["prefixlen"]) == (2, 24)
    assert message.get_attr("IFA_LOCAL") == message.get_attr("IFA_ADDRESS") == "10.244.1.2"


def test_a_route_has_its_gateway_and_scope():
    via = read(links.add_route(Route(ETH0, "10.244.2.0/24", "172.18.0.3", onlink=True)), rtmsg)
    assert (via["dst_len"], via.get_attr("RTA_DST"), via.get_attr("RTA_GATEWAY")) == (
        24,
        "10.244.2.0",
        "172.18.0.3",
    )
    assert (via["scope"], via["flags"], via.get_attr("RTA_OIF")) == (0, 4, 2)
    default = read(links.add_route(Route(ETH0, "0.0.0.0/0", "10.244.1.1")), rtmsg)
    assert (default["dst_len"], default.get_attr("RTA_DST"), default["flags"]) == (0, None, 0)
    direct = read(links.add_route(Route(ETH0, "10.9.8.7/32")), rtmsg)
    assert (direct["scope"], direct.get_attr("RTA_GATEWAY")) == (253, None)


def test_a_neighbour_is_permanent():
    message = read(links.add_neighbour(Neighbour(ETH0, "10.244.1.1", "0a:58:0a:f4:01:01")), ndmsg)
    assert (message["ifindex"], message["state"]) == (2, 0x80)
    assert (message.get_attr("NDA_DST"), message.get_attr("NDA_LLADDR")) == (
        "10.244.1.1",
        "0a:58:0a:f4:01:01",
    )


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_as_they_were_written(attributes):
    assert (
        list(read_attributes(b"".join(attribute(kind, payload) for kind, payload in attributes)))
        == attributes
    )


@given(st.binary(max_size=60))
def test_reading_broken_attributes_ends(data):
    assert len(list(read_attributes(data))) <= len(data)
