"""Scene: a cluster of two nodes in one mode, all that planning a fault asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.grade.faults.fault import Symptom
from labkit.proxy.plans import Mode, find_node
from labkit.spec.addressing import plan_addresses
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

if TYPE_CHECKING:
    from labkit.grade.faults.fault import Place
    from labkit.spec.addressplan import AddressPlan
    from labkit.spec.model import ClusterSpec, Node, Pod, Service

CLIENT, OUTSIDE = "client", "outside"  # the lab's own two; the first stands as a pod on the first node


@dataclass(frozen=True, slots=True)
class Scene:
    """The cluster, its mode, and its network."""

    mode: Mode
    cluster: ClusterSpec
    network: AddressPlan

    def node(self, name: str) -> Node:
        """Return a node by name."""
        return find_node(self.cluster, name)

    def other_node(self, name: str) -> Node:
        """Return the node that is not called `name`."""
        return next(node for node in self.cluster.nodes if node.name != name)

    def service(self, name: str) -> Service:
        """Return a Service by name."""
        return next(service for service in self.cluster.services if service.name == name)

    def pod(self, key: str) -> Pod:
        """Return a pod by `namespace/name`."""
        return next(pod for pod in self.cluster.pods if pod.key == key)

    def pods(self, service: str) -> tuple[Pod, ...]:
        """Return the pods behind a Service, in the order of their addresses."""
        selector = self.service(service).selector.items()
        pods = (pod for pod in self.cluster.pods if selector <= pod.labels.items())
        return tuple(sorted(pods, key=lambda pod: tuple(map(int, pod.address.split(".")))))

    def node_addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses that a node has itself."""
        return tuple(one.address for one in self.network.node(name).addresses)

    def caller(self, place: Place) -> str:
        """Return who calls a Service by way of the place's node: a client, or a pod of another Service."""
        if self.node("").name == place.node:
            return CLIENT
        behind = self.pods(place.service)
        return next(pod.key for pod in self.cluster.pods if pod.node == place.node and pod not in behind)

    def through_cluster_ip(self, place: Place) -> Symptom:
        """Return that calls to the Service by way of the place's node are not all answered."""
        service = self.service(place.service)
        return Symptom(
            "answered", self.caller(place), service.cluster_ip, service.ports[0].port, service.name
        )

    def unevenly(self, place: Place) -> Symptom:
        """Return that calls to the Service by way of the place's node are not evenly shared."""
        service = self.service(place.service)
        return Symptom("shared", self.caller(place), service.cluster_ip, service.ports[0].port, service.name)

    def never_itself(self, place: Place) -> Symptom:
        """Return that the place's pod does not reach itself through its Service."""
        service = self.service(place.service)
        return Symptom("itself", place.pod, service.cluster_ip, service.ports[0].port, service.name)

    def through_node_port(self, place: Place) -> Symptom:
        """Return that calls from outside to the node port on the place's node are not all answered."""
        service, node = self.service(place.service), self.node(place.node)
        return Symptom("answered", OUTSIDE, node.address, service.ports[0].node_port, service.name)


def pod_port(pod: Pod) -> int:
    """Return the port on which a pod answers."""
    return pod.ports[0].port


def plan_scene(manifest: str, mode: Mode) -> Scene:
    """Return the scene of a manifest's text. Raises SpecError for its mistakes."""
    cluster = read_manifests([Text("cluster", manifest)])
    return Scene(mode, cluster, plan_addresses(cluster))
