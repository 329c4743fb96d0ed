"""A Service with four pods and a client, that senders are measured with: new for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from labkit.fabric.build import Network, build_network
from labkit.measure.experiment import Programmed
from labkit.measure.targets import find_service_target
from labkit.proxy.plans import Mode, lab_config
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.many import plan_many_services

if TYPE_CHECKING:
    from labkit.measure.experiment import ServiceTarget

_PODS = 4


class Scene:
    """One node with four pods, a client and a Service, in the Linux that this process runs in.

    `reset` makes it anew: no connection tracking entry is left of what was sent before. A context manager.
    """

    def __init__(self, mode: Mode) -> None:
        """Build it. Raises CapabilityError where this Linux lacks what `mode` needs."""
        self.cluster = plan_many_services(1, _PODS)
        self.plan = plan_addresses(self.cluster)
        self.service: ServiceTarget = find_service_target(self.cluster, self.cluster.services[0].name)
        self.programmed = Programmed(mode, "rr" if mode == "ipvs" else "random")
        self._mode: Mode = mode
        self.network = self._build()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.network.close()

    def reset(self) -> None:
        """Remove it and build it again."""
        self.network.close()
        self.network = self._build()

    def _build(self) -> Network:
        network = build_network(self.plan)
        try:
            node = self.cluster.nodes[0].name
            Proxier(network.node(node), node, self._mode, lab_config(self.cluster)).sync(self.cluster)
        except BaseException:
            network.close()
            raise
        return network
