"""What holds of every cluster that can be read."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import SpecError
from labkit.spec.cluster import read_cluster
from labkit.spec.model import ClusterSpec
from labkit.spec.text import Text
from labkit.spec.yamlplaces import read_positions
from labkit.spec.yamltext import read_yaml


def _workload(kind: str, name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _service(name: str, kind: str, last: int | None, node_port: int | None) -> dict[str, Any]:
    port: dict[str, Any] = {"port": 80}
    spec: dict[str, Any] = {"type": kind, "selector": {"app": name}, "ports": [port]}
    if last is not None:
        spec["clusterIP"] = f"10.96.0.{last}"
    if node_port is not None and kind != "ClusterIP":
        port["nodePort"] = node_port
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@st.composite
def clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = [f"s{number}" for number in range(draw(st.integers(1, 8)))]
    kinds = st.sampled_from(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
    workloads = [_workload(draw(kinds), name, draw(st.integers(0, 5))) for name in names]
    ips = draw(st.lists(st.integers(1, 30) | st.none(), min_size=len(names), max_size=len(names)))
    ports = draw(st.lists(st.integers(30000, 30012) | st.none(), min_size=len(names), max_size=len(names)))
    types = st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])
    services = [
        _service(name, draw(types), None if ip in ips[:i] else ip, None if port in ports[:i] else port)
        for i, (name, ip, port) in enumerate(zip(names, ips, ports, strict=True))
    ]
    nodes = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{i}"}}
        for i in range(draw(st.integers(0, 4)))
    ]
    return draw(st.permutations([*workloads, *services, *nodes]))


def read(objects: list[dict[str, Any]]) -> ClusterSpec:
    return read_cluster([Text("t", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))])


@given(clusters())
@settings(deadline=None)
def test_all_addresses_and_node_ports_are_distinct(objects: list[dict[str, Any]]) -> None:
    spec = read(objects)
    nodes, pods = [n.address for n in spec.nodes], [p.address for p in spec.pods]
    addresses = nodes + pods + [s.cluster_ip for s in spec.services]
    assert len(set(addresses)) == len(addresses)
    ports = [p.node_port for s in spec.services for p in s.ports if p.node_port]
    assert len(set(ports)) == len(ports)
    assert len({(p.namespace, p.name) for p in spec.pods}) == len(spec.pods)
    networks = {n.name: IPv4Network(n.pod_cidr) for n in spec.nodes}
    for pod in spec.pods:
        offset = int(IPv4Address(pod.address)) - int(networks[pod.node][0])
        assert 2 <= offset < 255
        assert offset not in range(128, 192)


@given(clusters())
@settings(deadline=None)
def test_every_replica_is_there_and_behind_its_service(objects: list[dict[str, Any]]) -> None:
    spec = read(objects)
    for made in objects:
        if made["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
            name = made["metadata"]["name"]
            wanted = made["spec"].get("replicas", len(spec.nodes))
            pods = {p.key for p in spec.pods if p.labels["app"] == name}
            assert len(pods) == wanted
            assert {e.pod for s in spec.slices if s.service == name for e in s.endpoints} == pods


@given(clusters(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_documents_changes_nothing_that_is_written(
    objects: list[dict[str, Any]], random: Any
) -> None:
    shuffled = list(objects)
    random.shuffle(shuffled)
    one, other = read(objects), read(shuffled)
    written = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
    for spec in (one, other):
        for service in spec.services:
            given_spec = written[service.name]
            assert service.cluster_ip == given_spec.get("clusterIP", service.cluster_ip)
            assert service.ports[0].node_port == given_spec["ports"][0].get(
                "nodePort", service.ports[0].node_port
            )
    assert {p.key for p in one.pods} == {p.key for p in other.pods}


@given(clusters())
@settings(deadline=None)
def test_yaml_and_json_and_a_second_reading_give_the_same_cluster(objects: list[dict[str, Any]]) -> None:
    spec = read(objects)
    assert read(objects) == spec
    written = read_cluster([Text("t", yaml.safe_dump_all(objects))])
    assert replace(written, warnings=()) == replace(spec, warnings=())  # places differ


def mistakes_in(text: str) -> None:
    try:
        read_cluster([Text("t", text)])
    except SpecError as error:
        lines = text.count("\n") + 2  # what is missing is missing after the end
        for mistake in error.mistakes:
            _, _, place = mistake.place.partition("t:")
            assert not place or int(place.partition(":")[0]) <= lines, mistake


TEXTS = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=5
)  # JSON's pairs are no YAML
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-10, 70000)
    | TEXTS
    | st.sampled_from(["TCP", "10.96.0.1", "None"])
)
FIELDS = st.sampled_from(
    [
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "spec",
        "ports",
        "port",
        "selector",
        "template",
        "clusterIP",
        "labels",
        "status",
    ]
)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(FIELDS, v, max_size=4), max_leaves=12
)


@given(clusters(), st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_manifest_is_read_or_told_as_a_mistake(
    objects: list[dict[str, Any]], data: st.DataObject
) -> None:
    made: Any = data.draw(st.sampled_from(objects))
    while isinstance(made, dict | list) and made:
        key = data.draw(st.sampled_from(sorted(made) if isinstance(made, dict) else range(len(made))))
        if not isinstance(made[key], dict | list) or data.draw(st.booleans()):
            made[key] = data.draw(VALUES)
            break
        made = made[key]
    for text in (json.dumps(objects[0]), yaml.safe_dump_all(objects)):
        mistakes_in(text)


@given(st.text(alphabet="ab:{}[],&*- \n\t\"'#|>!%@?0<", max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    values, _ = read_yaml(text)
    assert len(read_positions(text)) == len(values)
    mistakes_in(text)


@given(
    st.recursive(
        LEAVES,
        lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3),
    )
)
@settings(deadline=None)
def test_every_value_of_a_text_has_a_position_at_which_it_stands(value: Any) -> None:
    text = json.dumps({"top": value}, indent=1)
    (values, faults), (positions,) = read_yaml(text), read_positions(text)
    assert not faults
    assert values == [{"top": value}]
    lines = text.split("\n")

    def check(part: Any, path: tuple[str | int, ...]) -> None:
        line, column = positions[path].value
        start = "{" if isinstance(part, dict) else "[" if isinstance(part, list) else json.dumps(part)
        assert lines[line - 1][column - 1 :].startswith(start)
        for key, below in (
            part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        ):
            check(below, (*path, key))

    check(values[0], ())
