"""Clusters of any size: many Services, all in front of the same few pods, without YAML or as a manifest."""

from __future__ import annotations

from ipaddress import IPv4Address

from labkit.errors import RequestError
from labkit.spec.model import (
    ClusterSpec,
    ContainerPort,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServicePort,
)
from labkit.spec.text import Text

MOST_SERVICES = 60_000
MOST_WRITTEN = 2000  # a manifest is read and checked document by document
FIRST_ADDRESS = IPv4Address("10.96.1.0")
SERVICE_CIDR, POD_CIDR = "10.96.0.0/12", "10.244.0.0/16"
PORT, TARGET_PORT = 80, 8080

_HEAD = """\
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: server, ports: [{containerPort: 8080}]}]}
"""
_SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {{name: s-{number}}}
spec:
  clusterIP: {address}
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""


def plan_many_services(count: int, endpoints: int = 2) -> ClusterSpec:
    """Return a cluster of one node, `endpoints` pods and `count` Services of type ClusterIP.

    Every Service has one TCP port and one EndpointSlice with all pods. Services are called `s-1` to
    `s-COUNT`, their cluster IPs go up in that order. Raises RequestError for counts that cannot be.
    """
    if not 1 <= count <= MOST_SERVICES or not 1 <= endpoints <= 100:
        raise RequestError(
            f"{count} Services with {endpoints} endpoints each cannot be made",
            todo=f"ask for 1 to {MOST_SERVICES} Services with 1 to 100 endpoints",
        )
    node = Node("node-1", "172.18.0.2", "10.244.0.0/24")
    ports = (ContainerPort("", TARGET_PORT),)
    pods = tuple(
        Pod("default", f"web-{number}", node.name, f"10.244.0.{number + 1}", ports=ports)
        for number in range(1, endpoints + 1)
    )
    behind = tuple(Endpoint(pod.address, node=node.name, pod=pod.key) for pod in pods)
    service_ports = (ServicePort("", "TCP", PORT, TARGET_PORT),)
    slice_ports = (EndpointPort("", "TCP", TARGET_PORT),)
    names = tuple(f"s-{number}" for number in range(1, count + 1))
    return ClusterSpec(
        nodes=(node,),
        pods=pods,
        services=tuple(
            Service("default", name, "ClusterIP", str(FIRST_ADDRESS + at), service_ports)
            for at, name in enumerate(names)
        ),
        slices=tuple(EndpointSlice("default", f"{name}-1", name, slice_ports, behind) for name in names),
        pod_cidr=POD_CIDR,
        service_cidr=SERVICE_CIDR,
    )


def many_services(count: int) -> Text:
    """Return a manifest of two nodes with a pod on each, and `count` Services `s-1`, `s-2` in front of both.

    Their cluster IPs go up from 10.96.1.0 in that order. Raises RequestError for a count that cannot be.
    """
    if not 1 <= count <= MOST_WRITTEN:
        raise RequestError(
            f"a manifest of {count} Services cannot be written", todo=f"ask for 1 to {MOST_WRITTEN}"
        )
    services = (
        _SERVICE.format(number=number, address=FIRST_ADDRESS + number - 1) for number in range(1, count + 1)
    )
    return Text(f"{count} Services", _HEAD + "".join(services))
