"""Clusters for tests, made without manifests, and a probe of their network."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from labkit.spec.model import ClusterSpec, Node, Pod

if TYPE_CHECKING:
    from labkit.fabric.build import Network
    from labkit.fabric.namespace import Namespace


def cluster_of(pods: int = 4, nodes: int = 2) -> ClusterSpec:
    """Return a cluster with `web-0`, `web-1`, ... spread over `node-1`, `node-2`, ... in turns."""
    return cluster_with(
        [Node(f"node-{n}", f"172.18.0.{n + 1}", f"10.244.{n}.0/24") for n in range(1, nodes + 1)],
        [
            Pod("default", f"web-{i}", f"node-{i % nodes + 1}", f"10.244.{i % nodes + 1}.{i // nodes + 2}")
            for i in range(pods)
        ],
    )


def cluster_with(nodes: list[Node], pods: list[Pod]) -> ClusterSpec:
    return ClusterSpec(tuple(nodes), tuple(pods), (), (), "10.244.0.0/16", "10.96.0.0/12")


def answered_from(network: Network, server: Namespace, client: Namespace, source: str = "0.0.0.0") -> str:
    """Connect from `client` to the first address of `server`; return the address that the server saw."""
    address = network.plan.namespace(server.name).addresses[0].address

    def connect() -> socket.socket:
        return socket.create_connection((address, 8080), timeout=5, source_address=(source, 0))

    with server.run(lambda: socket.create_server((address, 8080))) as listener, client.run(connect):
        connection, (seen, _) = listener.accept()
        connection.close()
        return seen
