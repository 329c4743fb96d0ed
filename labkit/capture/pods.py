"""The pods behind a cluster's EndpointSlices, as manifests: what kubectl was asked for has none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.spec.fields import ipv4_network
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.spec.model import ClusterSpec, Endpoint

_POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{nodeName: {node}, containers: [{{name: server}}]}}
status: {{podIP: {address}}}
"""


@dataclass(frozen=True, slots=True)
class SlicePods:
    """Pods that answer at the addresses of endpoints; `left_out` are endpoints that no pod can stand for."""

    manifest: Text
    count: int
    left_out: tuple[str, ...]


def plan_pods(cluster: ClusterSpec) -> SlicePods:
    """Return a pod for each endpoint's address that no pod of the cluster has.

    An endpoint's node is the one that its slice names, or in whose pod CIDR it is. Addresses of nodes, and
    those that are nowhere in the cluster, are left out.
    """
    taken = {pod.address for pod in cluster.pods}
    nodes = {node.address: node.name for node in cluster.nodes}
    written: list[str] = []
    left_out: dict[str, None] = {}
    for namespace, endpoint in _endpoints(cluster):
        if endpoint.address in taken:
            continue
        taken.add(endpoint.address)
        node = _node_of(endpoint, cluster)
        if endpoint.address in nodes:
            left_out[f"{endpoint.address}, on the network of node {nodes[endpoint.address]} itself"] = None
        elif not node:
            left_out[f"{endpoint.address}, outside of the cluster"] = None
        else:
            written.append(_pod(namespace, endpoint, node))
    return SlicePods(Text("pods of the EndpointSlices", "---\n".join(written)), len(written), tuple(left_out))


def _endpoints(cluster: ClusterSpec) -> Iterator[tuple[str, Endpoint]]:
    for one in cluster.slices:
        for endpoint in one.endpoints:
            yield one.namespace, endpoint


def _node_of(endpoint: Endpoint, cluster: ClusterSpec) -> str:
    names = {node.name for node in cluster.nodes}
    if endpoint.node in names:
        return endpoint.node
    address = IPv4Address(endpoint.address)
    return next((node.name for node in cluster.nodes if address in ipv4_network(node.pod_cidr)), "")


def _pod(namespace: str, endpoint: Endpoint, node: str) -> str:
    name = endpoint.pod.partition("/")[2] or f"pod-{endpoint.address.replace('.', '-')}"
    words = {"name": name, "namespace": namespace, "node": node, "address": endpoint.address}
    return _POD.format(**{key: json.dumps(word) for key, word in words.items()})
