"""Where a row asks, and which node's address who answers must have seen."""

from __future__ import annotations

from flows.rows import FORGOTTEN, SEVERAL_TIMES, Row
from flows.scene import (
    DAEMON_PORT,
    HEALTH_PORT,
    NODES,
    OTHER_ADDRESS,
    POD_PORT,
    PODS,
    SERVICES,
    UNKNOWN_PORT,
)

from labkit.spec.model import Node, Service

NODE_1, NODE_2 = NODES


def target(row: Row) -> tuple[str, int]:
    """Return the address and port that a row asks for."""
    if row.destination == "loopback":
        return "127.0.0.1", DAEMON_PORT
    if row.destination == "health port":
        return NODE_1.address, HEALTH_PORT
    if row.destination == "stray SYN-ACK":
        return PODS[0].address, POD_PORT
    service = SERVICES[row.service]
    destination = row.destination.removesuffix(SEVERAL_TIMES).removesuffix(FORGOTTEN)
    number, node_port = service.ports[0].port, service.ports[0].node_port
    places = {
        "node port": (NODE_1.address, node_port),
        "other node's port": (NODE_2.address, node_port),
        "port on cni0": (OTHER_ADDRESS, node_port),
        "port on loopback": ("127.0.0.1", node_port),
    }
    if destination in places:
        return places[destination]
    for start, port in (
        ("unknown port of ", UNKNOWN_PORT),
        ("health port at ", HEALTH_PORT),
        ("stray ACK to ", number),
    ):
        if destination.startswith(start):
            return _address(service, destination.removeprefix(start)), port
    return _address(service, destination), number


def _address(service: Service, kind: str) -> str:
    return {
        "cluster IP": service.cluster_ip,
        "external IP": next(iter(service.external_ips), ""),
        "load balancer IP": next((one.ip for one in service.load_balancer), ""),
    }[kind]


def handling_nodes(row: Row) -> tuple[Node, Node]:
    """Return the node whose rules a row meets, the one it names or the source lives on, and the other one."""
    if row.destination == "other node's port":
        return NODE_2, NODE_1
    if row.destination in {"node port", "port on cni0"} or row.source not in {"far-pod", "there"}:
        return NODE_1, NODE_2
    return NODE_2, NODE_1


def masquerade_address(node: Node, responder: str) -> str:
    """Return the address that a node has on the way to a responder."""
    at_home = {"here": "node-1", "there": "node-2"}.get(responder) == node.name
    return node.pod_cidr.replace(".0/24", ".1") if at_home else node.address
