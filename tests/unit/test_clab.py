"""What a clab file means: inheritance, brief links, the management network, what is ignored and said once."""

from __future__ import annotations

import pytest

from labkit.errors import SpecError
from labkit.spec.clab import is_clab_file, read_clab, substitute
from labkit.spec.clabwriting import write_clab
from labkit.spec.text import Text
from labkit.spec.topology import Bind, Endpoint, Link, Wait


def read(text: str, **environment: str):
    return read_clab(Text("lab.clab.yml", text), environment)


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        read(text)
    return [str(mistake) for mistake in raised.value.mistakes]


INHERITANCE = """
name: heirs
topology:
  defaults:
    kind: linux
    network-mode: none
    env: {A: default, B: default, C: default, D: default}
    sysctls: {net.core.somaxconn: 1}
    exec: [default]
    binds: [d:/x, "d:/y"]
  kinds:
    linux:
      stages: {create: {wait-for: [{node: first, stage: create}]}}
      env: {B: kind, C: kind, D: kind}
      exec: [kind]
      group: servers
  groups:
    servers:
      env: {C: group, D: group}
      exec: [group]
      network-mode: host
    bridges: {kind: bridge, network-mode: host}
  nodes:
    first:
      kind: host
    second:
      env: {D: node}
      sysctls: {}
      exec: [node]
      binds: ["n:/y:ro"]
      network-mode: bridge
      stages:
        create: {wait-for: [{node: first, stage: create}, {node: first, stage: configure}]}
    br0: {group: bridges}
"""


def test_a_node_inherits_from_defaults_kind_and_group():
    topology = read(INHERITANCE)
    node = topology.node("second")
    assert dict(node.env) == {"A": "default", "B": "kind", "C": "group", "D": "node"}
    assert node.exec == ("default", "kind", "group", "node")
    assert node.sysctls == (("net.core.somaxconn", "1"),)
    assert node.binds == (Bind("d", "/x"), Bind("n", "/y", read_only=True))
    assert node.waits == (Wait("create", "first", "create"), Wait("create", "first", "configure"))
    assert (node.group, node.network_mode, node.on_management) == ("servers", "", True)
    assert topology.node("br0").kind == "bridge", "a group has a kind, too"


BRIEF = """
name: brief
topology:
  nodes:
    a: {kind: linux}
    b: {kind: linux, network-mode: none}
    br: {kind: bridge}
  links:
    - endpoints: ["a:eth1", "b:eth0"]
      mtu: 1500
    - endpoints: ["br:p1", "b:eth1"]
    - endpoints: ["host:to-a", "a:eth2"]
    - endpoints: ["a:eth3", "mgmt-net:a-eth3"]
    - endpoints: ["macvlan:to-a", "b:eth2"]
    - type: veth
      endpoints:
        - {node: a, interface: eth4, mac: "02:00:00:00:00:AA"}
        - {node: b, interface: eth4}
"""


@pytest.mark.parametrize("text", ["INHERITANCE", "BRIEF"])
def test_what_is_inherited_or_brief_is_written_out_and_means_the_same(text):
    topology = read(globals()[text])
    assert read(write_clab(topology)) == topology


def test_a_brief_link_is_of_the_type_that_its_ends_name():
    assert read(BRIEF).links == (
        Link("veth", (Endpoint("a", "eth1"), Endpoint("b", "eth0")), mtu=1500),
        Link("veth", (Endpoint("br", "p1"), Endpoint("b", "eth1"))),
        Link("host", (Endpoint("a", "eth2"),), "to-a"),
        Link("mgmt-net", (Endpoint("a", "eth3"),), "a-eth3"),
        Link("macvlan", (Endpoint("b", "eth2"),), "to-a", mode="bridge"),
        Link("veth", (Endpoint("a", "eth4", "02:00:00:00:00:aa"), Endpoint("b", "eth4"))),
    )


def test_management_addresses_are_the_wished_ones_and_the_next_that_are_free():
    topology = read("""
name: managed
mgmt: {ipv4-subnet: 10.9.9.0/29, ipv4-gw: 10.9.9.2}
topology:
  defaults: {kind: linux}
  nodes:
    a: {}
    b: {mgmt-ipv4: 10.9.9.1}
    c: {network-mode: none}
    d:
""")
    assert topology.management_addresses() == {"a": "10.9.9.3", "b": "10.9.9.1", "d": "10.9.9.4"}


def test_a_management_network_that_is_full_is_told():
    nodes = "".join(f"    n{number}: {{kind: linux}}\n" for number in range(2))
    said = mistakes(f"name: full\nmgmt: {{ipv4-subnet: 10.0.0.0/30}}\ntopology:\n  nodes:\n{nodes}")
    assert said == [
        "lab.clab.yml:4:3: 10.0.0.0/30 has no address for each node (give mgmt a larger ipv4-subnet)"
    ]


def test_an_address_of_management_belongs_to_it_and_to_one():
    said = mistakes("""name: addresses
topology:
  nodes:
    a: {kind: linux, mgmt-ipv4: 172.20.20.1}
    b: {kind: linux, mgmt-ipv4: 10.0.0.1}
""")
    assert said == [
        "lab.clab.yml:4:33: 172.20.20.1 is the gateway's already",
        "lab.clab.yml:5:33: '10.0.0.1' is no address of the management network 172.20.20.0/24",
    ]


def test_what_means_nothing_to_the_lab_is_said_once():
    topology = read("""name: much
topology:
  kinds:
    linux: {image: alpine, memory: 1Gb}
    nokia_srlinux: {license: none of our business}
  nodes:
    a: {kind: linux, ports: ["80:80"], image: debian}
    b: {kind: linux, image: debian, cmd: sleep infinity}
  links:
    - {endpoints: ["a:eth1", "b:eth1"], labels: {x: y}}
""")
    assert topology.warnings == (
        "lab.clab.yml:4:13: ignored, they mean nothing to the lab: image, memory, ports, cmd, labels",
    )


def test_all_mistakes_are_told_at_once_and_nothing_follows_from_another():
    said = mistakes("""name: many
topology:
  nodes:
    a: {kind: linux, exec: hello}
    b: {kind: linus}
    c: [linux]
  links:
    - endpoints: ["a:eth1", "b:eth1"]
    - endpoints: ["a:eth1", "z:eth1"]
""")
    assert [one.partition(" (")[0] for one in said] == [
        "lab.clab.yml:4:28: topology.nodes.a.exec must be a list, not 'hello'",
        "lab.clab.yml:5:15: node b: the kind linus is not supported",
        "lab.clab.yml:6:8: topology.nodes.c must be a mapping, not a list",
        "lab.clab.yml:9:29: there is no node z",
    ]
    assert "did you mean linux?" in said[1]
    assert said[3].endswith("(there are: a, b, c)")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("$A ${A} $$A", "value value $A"),
        ("$UNSET ${UNSET}", "$UNSET ${UNSET}"),
        ("${UNSET:-x} ${UNSET-x} ${UNSET:=x} ${UNSET=x}", "x x x x"),
        ("${EMPTY:-x} ${EMPTY-x} ${EMPTY:=x} ${EMPTY=x}", "x  x "),
        ("${A:-x} ${A+y} ${A:+y} ${EMPTY+y}[${EMPTY:+y}][${UNSET+y}]", "value y y y[][]"),
        ("$1 $", "$1 $"),
    ],
)
def test_variables_are_replaced_as_the_manual_has_it(written, read):
    assert substitute(written, {"A": "value", "EMPTY": ""}) == read


def test_a_number_or_word_counts_as_it_is_written():
    node = read("name: x\ntopology: {nodes: {a: {kind: linux, env: {A: 0x10, B: yes, C: 010, D: }}}}").node(
        "a"
    )
    assert dict(node.env) == {"A": "0x10", "B": "yes", "C": "010", "D": ""}


def test_a_bridge_in_a_node_is_called_after_it():
    text = "name: x\ntopology: {nodes: {a: {kind: linux}, %s: {kind: bridge, network-mode: 'container:a'}}}"
    assert read(text % "br0|a").node("br0|a").interface == "br0"
    assert mistakes(text % "br0") == [
        "lab.clab.yml:2:38: node br0: a bridge in the node a must be called NAME|a (write br0|a)"
    ]


def test_the_name_of_a_file_says_what_it_is():
    assert [is_clab_file(name) for name in ("x.clab.yml", "a/x-clab.yaml", "web.yaml", "clab.yml")] == [
        True,
        True,
        False,
        False,
    ]
