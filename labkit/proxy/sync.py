"""Proxier: kube-proxy of one node of the lab, alive: a cluster in, a programmed namespace out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.proxy.extension import NO_EXTENSION, Extension
from labkit.proxy.plans import Mode, Plan, find_node, plan_node
from labkit.proxy.program import Counts, apply_plan, clear, read_counts
from labkit.proxy.program_device import read_node_addresses
from labkit.proxy.program_tables import find_backend

if TYPE_CHECKING:
    from labkit.fabric.namespace import Namespace
    from labkit.spec.model import ClusterSpec
    from labkit.spec.proxyconfig import ProxyConfig


class Proxier:
    """Keeps one node's namespace in step with a cluster, in one mode at a time.

    `mode` may be changed between two calls of `sync`; what the former mode made goes with the next one.
    """

    def __init__(self, namespace: Namespace, node: str, mode: Mode, config: ProxyConfig) -> None:
        """Take charge of `namespace`, which is the node called `node`; nothing is written yet."""
        self.namespace = namespace
        self.node = node
        self.mode: Mode = mode
        self.config = config
        self.backend = find_backend(namespace)
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """What the node is programmed with. Raises RequestError before the first `sync`."""
        if self._plan is None:
            raise RequestError(f"node {self.node} is not programmed yet", todo="call sync(cluster) first")
        return self._plan

    def sync(self, cluster: ClusterSpec, extension: Extension = NO_EXTENSION) -> Plan:
        """Program the node for `cluster`, whatever it held before, and return what it holds now.

        Raises RequestError (unknown node or scheduler) and ProgramError (the guest refused something).
        """
        addresses = read_node_addresses(self.namespace)
        plan = plan_node(
            self.mode,
            cluster,
            find_node(cluster, self.node),
            self.config,
            addresses=addresses,
            extension=extension,
        )
        apply_plan(plan, self.namespace, self.backend)
        self._plan = plan
        return plan

    def counts(self) -> Counts:
        """Return how many new connections each endpoint of each service port has been given on this node.

        In IPVS mode the guest adds them up every two seconds: they may be that old. Raises RequestError in
        nftables mode, whose rules have no counters.
        """
        return read_counts(self.plan, self.namespace, self.backend)

    def cleanup(self) -> None:
        """Remove all that kube-proxy made on the node."""
        clear(self.namespace, self.backend, self.config.ipvs.exclude_cidrs)
        self._plan = None
