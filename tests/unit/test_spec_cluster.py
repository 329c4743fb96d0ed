"""What the control plane decides: pods, addresses, node ports, EndpointSlices."""

import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import RequestError, SpecError
from labkit.spec.cluster import read_cluster, read_manifests
from labkit.spec.manifest import shipped_lab, shipped_labs
from labkit.spec.model import ClusterSpec, Endpoint, EndpointPort, LoadBalancerIngress
from labkit.spec.text import Text


def cluster(*objects: dict[str, Any]) -> ClusterSpec:
    return read_cluster([Text("test", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))])


def made(kind: str, name: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    version = {"Service": "v1", "Pod": "v1", "Node": "v1"}.get(kind, "apps/v1")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
        "status": status,
    }


def workload(
    kind: str, name: str, *, ports: Any = (), pod: Any = None, metadata: Any = None, **spec: Any
) -> Any:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, **(metadata or {})},
        "spec": {"containers": [{"name": "server", "ports": list(ports)}], **(pod or {})},
    }
    return made(kind, name, {"selector": {"matchLabels": labels}, "template": template, **spec})


def service(name: str, *ports: dict[str, Any], status: Any = None, metadata: Any = None, **spec: Any) -> Any:
    chosen = {"selector": {"app": name}, "ports": list(ports) or [{"port": 80}], **spec}
    return made("Service", name, chosen, status, **(metadata or {}))


def sliced(
    service_name: str, *endpoints: Any, ports: Any = ({"name": "http", "port": 8080},), **more: Any
) -> Any:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service_name}-x", "labels": {"kubernetes.io/service-name": service_name}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": list(ports),
        **more,
    }


# ---- nodes ----


def test_without_any_node_there_are_two() -> None:
    nodes = cluster(workload("Deployment", "web")).nodes
    assert [(n.name, n.address, n.pod_cidr) for n in nodes] == [
        ("node-1", "172.18.0.11", "10.244.1.0/24"),
        ("node-2", "172.18.0.12", "10.244.2.0/24"),
    ]


def test_what_a_node_says_is_kept_and_the_rest_assigned_around_it() -> None:
    addresses = [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "172.18.0.11"}]
    spec = cluster(
        made("Node", "b"),
        made("Node", "a", {"podCIDR": "10.244.1.0/24"}, {"addresses": addresses}, labels={"zone": "z1"}),
    )
    assert [(n.name, n.address, n.pod_cidr) for n in spec.nodes] == [
        ("b", "172.18.0.12", "10.244.2.0/24"),
        ("a", "172.18.0.11", "10.244.1.0/24"),
    ]
    assert spec.nodes[1].labels == {"zone": "z1"}
    assert spec.pod_cidr == "10.244.0.0/16"


def test_the_cluster_pod_cidr_holds_every_node() -> None:
    spec = cluster(
        made("Node", "a", {"podCIDR": "10.1.0.0/24"}), made("Node", "b", {"podCIDR": "10.1.3.0/24"})
    )
    assert spec.pod_cidr == "10.1.0.0/22"


# ---- pods ----


def test_pods_are_named_by_their_owner_and_spread_over_the_nodes() -> None:
    spec = cluster(
        workload("Deployment", "web", replicas=3),
        workload("StatefulSet", "db", replicas=2),
        workload("DaemonSet", "log"),
        workload("ReplicaSet", "one"),
        workload("Deployment", "none", replicas=0),
    )
    assert [(p.name, p.node, p.address, p.owner) for p in spec.pods] == [
        ("web-1", "node-1", "10.244.1.2", "Deployment/web"),
        ("web-2", "node-2", "10.244.2.2", "Deployment/web"),
        ("web-3", "node-1", "10.244.1.3", "Deployment/web"),
        ("db-0", "node-2", "10.244.2.3", "StatefulSet/db"),
        ("db-1", "node-1", "10.244.1.4", "StatefulSet/db"),
        ("log-1", "node-2", "10.244.2.4", "DaemonSet/log"),
        ("log-2", "node-1", "10.244.1.5", "DaemonSet/log"),
        ("one-1", "node-2", "10.244.2.5", "ReplicaSet/one"),
    ]


def test_a_taken_name_is_skipped() -> None:
    pod = made("Pod", "web-1", {"containers": [{"name": "a"}]})
    spec = cluster(workload("Deployment", "web", replicas=2), workload("DaemonSet", "web"), pod)
    assert [p.name for p in spec.pods] == ["web-2", "web-3", "web-4", "web-5", "web-1"]


def test_pods_keep_off_cordoned_and_tainted_nodes_but_daemons_do_not() -> None:
    spec = cluster(
        made("Node", "a", {"unschedulable": True}),
        made("Node", "b", {"taints": [{"key": "k", "effect": "NoSchedule"}]}),
        made("Node", "c"),
        workload("Deployment", "web", replicas=2),
        workload("DaemonSet", "log"),
    )
    assert [(p.name, p.node) for p in spec.pods] == [
        ("web-1", "c"), ("web-2", "c"), ("log-1", "a"), ("log-2", "b"), ("log-3", "c"),
    ]  # fmt: skip


def test_a_node_selector_chooses_and_a_pod_without_a_node_stays_pending() -> None:
    spec = cluster(
        made("Node", "a"),
        made("Node", "b", labels={"disk": "ssd"}),
        workload("Deployment", "web", replicas=2, pod={"nodeSelector": {"disk": "ssd"}}),
        workload("DaemonSet", "log", pod={"nodeSelector": {"disk": "ssd"}}),
        workload("Deployment", "gpu", replicas=2, pod={"nodeSelector": {"gpu": "yes"}}),
    )
    assert [(p.name, p.node) for p in spec.pods] == [("web-1", "b"), ("web-2", "b"), ("log-1", "b")]
    assert len(spec.warnings) == 1
    assert "pods of Deployment/gpu stay Pending" in spec.warnings[0]


def test_a_pod_keeps_its_node_and_its_address_whatever_comes_before_it() -> None:
    pod = made("Pod", "x", {"nodeName": "node-1", "containers": [{"name": "a"}]}, {"podIP": "10.244.1.2"})
    spec = cluster(workload("Deployment", "web", replicas=2), pod)
    assert {p.name: (p.node, p.address) for p in spec.pods} == {
        "web-1": ("node-2", "10.244.2.2"),
        "web-2": ("node-1", "10.244.1.3"),
        "x": ("node-1", "10.244.1.2"),
    }


def test_pods_leave_the_gateway_its_address_and_take_the_clients_last() -> None:
    spec = cluster(made("Node", "a"), workload("Deployment", "web", replicas=253))
    last = [int(p.address.rpartition(".")[2]) for p in spec.pods]
    assert last == [*range(2, 128), *range(192, 255), *range(128, 192)]
    larger = cluster(
        made("Node", "a", {"podCIDR": "10.7.0.0/16"}), workload("Deployment", "web", replicas=300)
    )
    assert larger.pods[-1].address == "10.7.1.45"


@pytest.mark.parametrize(("prefix", "pods"), [(25, 125), (26, 61), (28, 13), (30, 1)])
def test_a_small_pod_cidr_is_filled_to_the_last_address(prefix: int, pods: int) -> None:
    node = made("Node", "a", {"podCIDR": f"10.7.3.128/{prefix}"})
    spec = cluster(node, workload("Deployment", "web", replicas=pods))
    assert sorted(int(p.address.rpartition(".")[2]) for p in spec.pods) == [*range(130, 130 + pods)]
    assert spec.pod_cidr == f"10.7.3.128/{prefix}"


def test_a_pod_whose_network_plugin_has_addresses_of_its_own_keeps_its_address() -> None:
    spec = cluster(
        made("Node", "a", {"podCIDR": "10.244.1.0/24"}),
        made("Pod", "x", {"nodeName": "a", "containers": [{"name": "a"}]}, {"podIP": "192.168.7.20"}),
        made("Pod", "y", {"nodeName": "a", "containers": [{"name": "a"}]}, {"podIP": "10.244.1.150"}),
    )
    assert [(p.node, p.address) for p in spec.pods] == [("a", "192.168.7.20"), ("a", "10.244.1.150")]


def test_a_dump_keeps_the_pods_that_its_workloads_already_have() -> None:
    def owner(kind: str, name: str) -> Any:
        return [{"kind": kind, "name": name, "controller": True}]

    replica_set = workload("ReplicaSet", "web-6f", replicas=2)
    replica_set["metadata"]["ownerReferences"] = owner("Deployment", "web")
    running = {"containers": [{"name": "a"}]}
    spec = cluster(
        workload("Deployment", "web", replicas=2),
        replica_set,
        made("Pod", "web-6f-abc", running, ownerReferences=owner("ReplicaSet", "web-6f")),
        made("Pod", "job", running, {"phase": "Succeeded"}),
    )
    assert [p.name for p in spec.pods] == ["web-6f-1", "web-6f-abc"]


def test_weight_labels_and_ports_come_from_the_template() -> None:
    ports = [{"name": "http", "containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}]
    heavy = {"annotations": {"labkit.dev/weight": "7"}}
    pod = cluster(workload("Deployment", "web", ports=ports, metadata=heavy)).pods[0]
    assert pod.weight == 7
    assert pod.labels == {"app": "web"}
    assert [(p.name, p.port, p.protocol) for p in pod.ports] == [("http", 8080, "TCP"), ("", 53, "UDP")]


# ---- Services ----


def test_defaults_of_a_service() -> None:
    (read,) = cluster(service("web", status={"loadBalancer": {}})).services
    assert (read.type, read.cluster_ip, read.affinity_timeout_s) == ("ClusterIP", "10.96.0.10", None)
    assert (read.external_policy, read.internal_policy, read.namespace) == ("Cluster", "Cluster", "default")
    (port,) = read.ports
    assert (port.name, port.protocol, port.port, port.target_port, port.node_port) == ("", "TCP", 80, 80, 0)


def test_cluster_ips_go_around_those_that_are_given() -> None:
    spec = cluster(
        service("a"),
        service("b", clusterIP="10.96.0.11"),
        service("c", clusterIP="None"),
        service("d"),
        service("e", type="ExternalName", externalName="example.org"),
    )
    assert [s.cluster_ip for s in spec.services] == ["10.96.0.10", "10.96.0.11", "None", "10.96.0.12", ""]
    assert spec.service_cidr == "10.96.0.0/12"


def test_the_service_cidr_follows_cluster_ips_that_lie_elsewhere() -> None:
    spec = cluster(service("a", clusterIP="172.30.0.41"), service("b"))
    assert (spec.service_cidr, spec.services[1].cluster_ip) == ("172.30.0.0/16", "172.30.0.10")
    far = cluster(service("a", clusterIP="172.30.0.41"), service("b", clusterIP="10.96.0.10"))
    assert far.service_cidr == "10.96.0.0/12"
    assert "test:1:188: 172.30.0.41 is outside the service CIDR 10.96.0.0/12" in far.warnings


def test_node_ports_are_assigned_where_absent() -> None:
    dns = [{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53}]
    spec = cluster(
        service("a", type="NodePort"),
        service("b", {"port": 80, "nodePort": 30001}, type="NodePort"),
        service("c", *dns, type="NodePort"),
        service("d", type="LoadBalancer", externalTrafficPolicy="Local"),
        service("e", type="LoadBalancer", allocateLoadBalancerNodePorts=False),
    )
    ports = [([p.node_port for p in s.ports], s.health_check_node_port) for s in spec.services]
    assert ports == [([30000], 0), ([30001], 0), ([30002, 30002], 0), ([30003], 30004), ([0], 0)]


def test_a_service_that_has_been_through_an_api_server_gets_nothing_more() -> None:
    stored = service("a", type="NodePort", clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"])
    assert cluster(stored).services[0].ports[0].node_port == 0


def test_a_dual_stack_service_is_known_by_its_ipv4_address() -> None:
    both = service("a", clusterIP="fd00::1", clusterIPs=["fd00::1", "10.96.0.9"], ipFamilies=["IPv6", "IPv4"])
    assert cluster(both).services[0].cluster_ip == "10.96.0.9"


def test_what_kube_proxy_judges_itself_passes_through_as_it_is() -> None:
    ingress = [{"ip": "203.0.113.1"}, {"hostname": "lb"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}]
    spec = cluster(
        service(
            "a",
            externalIPs=["192.0.2.1", "fd00::7"],
            loadBalancerSourceRanges=[" 10.0.0.0/8", "nonsense"],
            status={"loadBalancer": {"ingress": ingress}},
            sessionAffinity="ClientIP",
            metadata={"annotations": {"a": "b"}, "labels": {"c": "d"}},
        ),
        sliced("a", {"addresses": ["10.1.1.1"]}, ports=[{"port": 8080}]),
    )
    (read,) = spec.services
    assert read.external_ips == ("192.0.2.1", "fd00::7")
    assert read.source_ranges == (" 10.0.0.0/8", "nonsense")
    assert read.load_balancer == (
        LoadBalancerIngress("203.0.113.1"),
        LoadBalancerIngress("203.0.113.2", "Proxy"),
    )
    assert (read.affinity_timeout_s, read.annotations, read.labels) == (10800, {"a": "b"}, {"c": "d"})
    assert len(spec.warnings) == 2


# ---- EndpointSlices ----


def test_a_named_port_is_resolved_on_each_pod() -> None:
    old = workload("Deployment", "old", ports=[{"name": "http", "containerPort": 80}])
    new = workload("Deployment", "new", ports=[{"name": "http", "containerPort": 8080}])
    bare = workload("Deployment", "bare")
    for each in (old, new, bare):
        each["spec"]["template"]["metadata"]["labels"]["tier"] = "web"
    picked = service("web", {"port": 80, "targetPort": "http"}, selector={"tier": "web"})
    slices = cluster(old, new, bare, picked).slices
    assert [(s.name, s.service, s.ports, [e.pod for e in s.endpoints]) for s in slices] == [
        ("web-1", "web", (EndpointPort("", "TCP", 80),), ["default/old-1"]),
        ("web-2", "web", (EndpointPort("", "TCP", 8080),), ["default/new-1"]),
        ("web-3", "web", (), ["default/bare-1"]),
    ]


@pytest.mark.parametrize(
    ("status", "deleted", "publishes", "conditions"),
    [
        ({}, None, False, (True, True, False)),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, None, False, (False, False, False)),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, None, True, (True, False, False)),
        (
            {"conditions": [{"type": "Ready", "status": "True"}]},
            "2024-01-01T00:00:00Z",
            False,
            (False, True, True),
        ),
    ],
)
def test_conditions_of_an_endpoint_follow_its_pod(
    status: Any, deleted: Any, publishes: Any, conditions: Any
) -> None:
    pod = made(
        "Pod", "x", {"containers": [{"name": "a"}]}, status, labels={"app": "web"}, deletionTimestamp=deleted
    )
    (endpoint,) = cluster(pod, service("web", publishNotReadyAddresses=publishes)).slices[0].endpoints
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == conditions


def test_a_slice_holds_a_hundred_endpoints_at_most() -> None:
    slices = cluster(workload("Deployment", "web", replicas=230), service("web")).slices
    assert [len(s.endpoints) for s in slices] == [100, 100, 30]


def test_slices_of_the_manifest_are_taken_as_they_are() -> None:
    spec = cluster(
        workload("Deployment", "web"),
        service("web"),
        sliced(
            "web",
            {
                "addresses": ["10.9.0.2", "10.9.0.3"],
                "hints": {"forZones": [{"name": "z1"}]},
                "nodeName": "other",
            },
            {"addresses": ["10.9.0.1"], "conditions": {"ready": None, "serving": False, "terminating": True}},
            {"addresses": ["10.9.0.2"]},
            ports=[{"name": None, "port": 80}, {"name": "b", "port": None}],
        ),
        {**sliced("web", {"addresses": ["fd00::1"]}, addressType="IPv6"), "metadata": {"name": "six"}},
    )
    (read,) = spec.slices
    assert read.endpoints == (
        Endpoint("10.9.0.2", node="other", zone_hints=("z1",)),
        Endpoint("10.9.0.1", ready=True, serving=False, terminating=True),
        Endpoint("10.9.0.2"),
    )
    assert read.ports == (EndpointPort("", "TCP", 80),)
    assert read.labels == {"kubernetes.io/service-name": "web"}


def test_a_slice_of_no_service_is_told_of() -> None:
    spec = cluster(workload("Deployment", "web"), service("web"), sliced("shop", {"addresses": ["10.9.0.1"]}))
    (warning,) = spec.warnings
    assert warning.endswith("serves no Service: there is no default/shop")


def test_an_endpoint_knows_the_pod_at_its_address() -> None:
    spec = cluster(workload("Deployment", "web"), sliced("web", {"addresses": ["10.244.1.2"]}))
    assert spec.slices[0].endpoints[0].pod == "default/web-1"


# ---- warnings ----


def test_warnings_name_what_is_ignored_once_and_selectors_that_match_nothing() -> None:
    text = """
apiVersion: v1
kind: ServiceAccount
---
apiVersion: v1
kind: ConfigMap
---
apiVersion: v1
kind: ServiceAccount
---
apiVersion: serving.knative.dev/v1
kind: Service
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web, tier: x}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: shop}}
spec: {containers: [{name: a}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports:
    - port: 80
      targetPort: http
"""
    ignored = "2 ServiceAccount, 1 ConfigMap, 1 Service.serving.knative.dev"
    assert read_cluster([Text("t", text)]).warnings == (
        f"t:2:1: ignored, they mean nothing to the lab: {ignored}",
        "t:18:13: Service web selects no pod: none in namespace default has app=web,tier=x",
        "t:33:19: no pod of Service shop has a TCP port named http",
    )


# ---- sources ----


def test_files_and_standard_input_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.yaml").write_bytes(b"\xef\xbb\xbf" + json.dumps(workload("Deployment", "web")).encode())
    piped = SimpleNamespace(buffer=BytesIO(json.dumps(service("web")).encode()))
    monkeypatch.setattr("sys.stdin", piped)
    spec = read_cluster([tmp_path / "web.yaml", Path("-")])
    assert [e.pod for e in spec.slices[0].endpoints] == ["default/web-1"]


def test_yaml_json_and_lists_of_the_same_objects_are_the_same_cluster() -> None:
    objects = [workload("Deployment", "web", replicas=2), service("web", type="NodePort")]
    listed = cluster(*objects)
    typed = {
        "apiVersion": "v1",
        "kind": "ServiceList",
        "items": [{"metadata": {"name": "web"}, "spec": objects[1]["spec"]}],
    }
    for text in (
        "---\n".join(json.dumps(o) + "\n" for o in objects),
        "\n".join(json.dumps(o, indent=2) for o in objects),
        json.dumps(objects[0]) + json.dumps(typed),
        "# YAML\n---\n" + json.dumps(objects[0]) + "\n---\n---\n" + json.dumps(objects[1]),
    ):
        assert read_cluster([Text("t", text)]) == listed


def test_anchors_aliases_and_merge_keys_are_understood() -> None:
    text = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: &labels {app: web}}
  template:
    metadata: {labels: {<<: *labels, tier: front}}
    spec: {containers: [{name: a}]}
"""
    assert read_cluster([Text("t", text)]).pods[0].labels == {"app": "web", "tier": "front"}


@pytest.mark.parametrize("name", shipped_labs())
def test_the_shipped_labs_are_without_mistake_or_warning(name: str) -> None:
    assert read_cluster([shipped_lab(name)]).warnings == ()


def test_the_shipped_labs_are_what_they_say() -> None:
    web = read_cluster([shipped_lab("web")])
    assert Counter(p.node for p in web.pods) == {"node-1": 2, "node-2": 2}
    weighted = read_cluster([shipped_lab("weighted")])
    assert [p.weight for p in weighted.pods] == [1, 1, 2, 4]
    assert len(weighted.slices[0].endpoints) == 4
    shop = read_cluster([shipped_lab("shop")])
    assert {s.type for s in shop.services} == {"ClusterIP", "NodePort", "ExternalName"}
    assert {p.protocol for s in shop.services for p in s.ports} == {"TCP", "UDP"}


def test_an_unknown_lab_is_told_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"no lab 'wbe'") as raised:
        shipped_lab("wbe")
    assert raised.value.todo == f"did you mean web? there are: {', '.join(shipped_labs())}"


def test_a_broken_node_is_not_missed_twice() -> None:
    with pytest.raises(SpecError) as raised:
        cluster(
            made("Node", "a", {"podCIDR": "x"}),
            made("Pod", "p", {"nodeName": "a", "containers": [{"name": "c"}]}),
        )
    assert [m.message for m in raised.value.mistakes] == ["spec.podCIDR: 'x' is not a CIDR"]


def test_what_a_real_cluster_writes_beside_known_fields_is_not_called_misspelt() -> None:
    dumped = service("web", clusterIP="10.96.0.10", ipFamilyPolicy="SingleStack", loadBalancerIP="192.0.2.1")
    dumped["metadata"] |= {"creationTimestamp": "2024-05-01T10:00:00Z", "managedFields": [], "uid": "7d0f"}
    (read,) = cluster(workload("Deployment", "web"), dumped).services
    assert read.cluster_ip == "10.96.0.10"


def test_an_external_address_that_two_services_claim_is_told_of() -> None:
    vip = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    spec = cluster(
        workload("Deployment", "a"),
        workload("Deployment", "b"),
        service("a", type="LoadBalancer", externalIPs=["203.0.113.1"], status=vip),
        service("b", {"name": "one", "port": 80}, {"name": "two", "port": 81}, externalIPs=["203.0.113.1"]),
    )
    (warning,) = spec.warnings
    assert "203.0.113.1:80/TCP is claimed by Service default/a, too" in warning


def test_a_source_range_of_everybody_is_told_of_since_no_ipset_holds_it() -> None:
    spec = cluster(
        workload("Deployment", "a"), service("a", type="LoadBalancer", loadBalancerSourceRanges=["0.0.0.0/0"])
    )
    (warning,) = spec.warnings
    assert "no ipset holds 0.0.0.0/0" in warning


def test_a_node_without_an_internal_address_is_known_by_its_external_one() -> None:
    addresses = [{"type": "ExternalIP", "address": "203.0.113.9"}, {"type": "Hostname", "address": "n"}]
    (node,) = cluster(made("Node", "n", {}, {"addresses": addresses})).nodes
    assert node.address == "203.0.113.9"


def test_a_string_of_several_lines_is_a_manifest_itself() -> None:
    cluster = read_manifests(["apiVersion: v1\nkind: Node\nmetadata: {name: one}\n"])
    assert [node.name for node in cluster.nodes] == ["one"]
