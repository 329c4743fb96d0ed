"""Clusters with Services for tests of the proxy, made without manifests."""

from __future__ import annotations

from labkit.spec.model import (
    ClusterSpec,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    LoadBalancerIngress,
    Node,
    Pod,
    Protocol,
    Service,
    ServicePort,
)

NODE = Node("node-1", "172.18.0.2", "10.244.1.0/24", {"topology.kubernetes.io/zone": "east"})
POD_CIDR = "10.244.0.0/16"


def service(name: str = "web", *ports: ServicePort, **fields: object) -> Service:
    """Return a ClusterIP Service in `default` with port 80/TCP to 8080; `fields` replace what it has."""
    usual = {
        "type": "ClusterIP",
        "cluster_ip": "10.96.0.10",
        "ports": ports or (ServicePort("http", "TCP", 80, 8080),),
    }
    return Service("default", name, **{**usual, **fields})


def load_balancer(vip: str = "203.0.113.7", **fields: object) -> Service:
    """Return a LoadBalancer Service with node port 30080."""
    return service(
        type="LoadBalancer",
        ports=(ServicePort("http", "TCP", 80, 8080, 30080),),
        load_balancer=(LoadBalancerIngress(vip),),
        **fields,
    )


def slice_of(
    *endpoints: Endpoint, name: str = "web", port: str = "http", protocol: Protocol = "TCP"
) -> EndpointSlice:
    """Return the slice of Service `name` whose endpoints listen on 8080."""
    return EndpointSlice("default", f"{name}-1", name, (EndpointPort(port, protocol, 8080),), endpoints)


def here(number: int, **fields: object) -> Endpoint:
    """Return an endpoint on NODE."""
    return Endpoint(f"10.244.1.{number}", node=NODE.name, **fields)


def elsewhere(number: int, **fields: object) -> Endpoint:
    """Return an endpoint on another node."""
    return Endpoint(f"10.244.2.{number}", node="node-2", **fields)


def cluster(*parts: Service | EndpointSlice | Pod) -> ClusterSpec:
    """Return a cluster of NODE and these parts."""

    def of(kind: type) -> tuple:
        return tuple(part for part in parts if isinstance(part, kind))

    return ClusterSpec((NODE,), of(Pod), of(Service), of(EndpointSlice), POD_CIDR, "10.96.0.0/12")
