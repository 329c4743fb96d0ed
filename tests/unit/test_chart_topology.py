import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from clusters import cluster_of, cluster_with

from labkit.chart.topology import topology_diagram
from labkit.chart.topology_plan import Live, plan_topology
from labkit.spec.addressing import plan_addresses
from labkit.spec.balancer import plan_balancer
from labkit.spec.cluster import read_manifests
from labkit.spec.manifest import shipped_labs
from labkit.spec.model import Node, Pod

GOLDEN = Path(__file__).parents[1] / "golden/chart"
SVG = "{http://www.w3.org/2000/svg}"


def shipped(name):
    cluster = read_manifests([name])
    return cluster, plan_addresses(cluster, None, plan_balancer(cluster))


def lonely():
    """One node, no pod, no Service, no client."""
    cluster = cluster_with([Node("n", "172.18.0.2", "10.244.1.0/24")], [])
    return cluster, plan_addresses(cluster, [])


def long_names():
    nodes = [
        Node(f"ip-172-18-0-{n}.eu-central-1.compute.internal", f"172.18.0.{n}", f"10.244.{n}.0/24")
        for n in (2, 3, 4)
    ]
    names = ["a-deployment-with-quite-a-long-name-7d4b9c8f6d-x2x8q", "b"]
    pods = [
        Pod("default", f"{name}-{n.address[-1]}", n.name, f"10.244.{n.address[-1]}.{at + 2}")
        for n in nodes
        for at, name in enumerate(names)
    ]
    cluster = cluster_with(nodes, pods)
    return cluster, plan_addresses(cluster)


def of(pods, nodes):
    cluster = cluster_of(pods, nodes)
    return cluster, plan_addresses(cluster)


LABS = {name: shipped(name) for name in shipped_labs()} | {
    "lonely": lonely(),
    "long names": long_names(),
    "5 nodes, 60 pods": of(60, 5),
    "40 nodes, 400 pods": of(400, 40),
    **{f"{nodes} nodes": of(2 * nodes, nodes) for nodes in (1, 3, 4, 7, 9)},
}


@pytest.fixture(params=LABS, name="lab")
def _lab(request):
    return LABS[request.param]


@pytest.fixture(params=[False, True], ids=["", "live"])
def live(request, lab):
    return Live(shares={pod.key: 0.5 for pod in lab[0].pods}) if request.param else None


def test_nothing_overlaps_and_all_is_inside(lab, live):
    plan = plan_topology(*lab, live=live)
    outer = [label.box for label in plan.services] + [chip.box for chip in plan.guests]
    outer += [*plan.bars, *(node.box for node in plan.nodes)]
    for group in (outer, *([chip.box for chip in node.chips] for node in plan.nodes)):
        for number, box in enumerate(group):
            assert not any(box.overlaps(other) for other in group[number + 1 :])
            assert box.x >= 0
            assert box.right <= plan.width
            assert box.bottom <= plan.height
    for node in plan.nodes:
        assert all(node.box.holds(chip.box) for chip in node.chips)


def test_every_node_pod_and_client_is_there_or_counted(lab):
    cluster, addresses = lab
    plan = plan_topology(cluster, addresses)
    drawn = {chip.name for chip in plan.chips if chip.kind == "pod"}
    folded = sum(int(chip.name.split()[0]) for chip in plan.chips if chip.kind == "more")
    hidden_nodes = len(cluster.nodes) - len(plan.nodes)
    on_hidden = sum(pod.node not in {node.name for node in plan.nodes} for pod in cluster.pods)
    assert len(drawn) + folded + on_hidden == len(cluster.pods)
    assert (f"{hidden_nodes} more nodes with {on_hidden} pods" in plan.nodes_folded) == bool(hidden_nodes)
    assert {chip.name for chip in plan.chips if chip.kind == "client"} == set(addresses.clients)


def test_a_pod_carries_the_numbers_of_its_services():
    plan = plan_topology(*LABS["shop"])
    marks = {chip.name: chip.marks for chip in plan.chips if chip.kind == "pod"}
    numbers = {label.name: label.mark for label in plan.services}
    assert marks["shop-1"] == (numbers["shop"],)
    assert marks["kube-system.names-1"] == (numbers["kube-system.names"],)


def test_the_balancer_shows_the_addresses_it_owns():
    plan = plan_topology(*LABS["ingress-two-addresses"])
    assert [chip.address for chip in plan.guests if chip.kind == "balancer"] == ["203.0.113.10 +1"]


def test_the_picture_is_described_and_its_table_holds_every_address(lab):
    cluster, addresses = lab
    diagram = topology_diagram(cluster, addresses)
    picture = ET.fromstring(diagram.svg)
    assert picture.findtext(f"{SVG}desc") == diagram.alt
    text = diagram.table.text()
    if len(diagram.table.rows) <= 300:
        assert all(
            one.address in text for one in (*cluster.nodes, *cluster.pods, *addresses.clients.values())
        )
    assert diagram._repr_html_().startswith("<svg")


@pytest.mark.parametrize("name", ["web", "shop"])
def test_the_text_of_the_picture(name):
    svg = topology_diagram(*LABS[name], f"The lab {name}").svg
    written = ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]
    expected = GOLDEN / f"topology-{name}.expected"
    assert "\n".join(written) + "\n" == expected.read_text()


def test_a_dead_pod_is_marked_by_more_than_colour():
    cluster, addresses = LABS["web"]
    first, second = cluster.pods[:2]
    svg = topology_diagram(cluster, addresses, live=Live({first.key: "refuses", second.key: "not ready"})).svg
    written = ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"refuses", "not ready"} <= set(written)
