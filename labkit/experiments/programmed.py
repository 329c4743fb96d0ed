"""A node programmed for many Services, in the guest that this process runs in."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from labkit.fabric.build import Network, build_network
from labkit.measure.experiment import Programmed, ServiceTarget, measure_service
from labkit.proxy.plans import Mode, lab_config
from labkit.proxy.program import require_mode
from labkit.proxy.program_restore import Backend
from labkit.proxy.sync import Proxier
from labkit.proxy.tracking import ClusterChanges
from labkit.spec.addressing import plan_addresses
from labkit.spec.many import PORT, plan_many_services
from labkit.traffic.backend import build_backends, plan_pod_ports
from labkit.traffic.flow import Target
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.fabric.namespace import Namespace
    from labkit.measure.records import RunResult
    from labkit.measure.scaling import PlaceName, ScalingMode

_MODES: Mapping[ScalingMode, tuple[Mode, Backend | None]] = {
    "iptables-legacy": ("iptables", Backend("legacy")),
    "iptables-nft": ("iptables", Backend("nft")),
    "nftables": ("nftables", None),
    "ipvs": ("ipvs", None),
}


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """Seconds: from nothing; without one endpoint of the last Service; with it again."""

    program_s: float
    remove_s: float
    add_s: float


class ProgrammedNode:
    """A node, its pods and a client, alive: `program` it, then `measure` Services. A context manager."""

    def __init__(self, mode: ScalingMode, services: int, endpoints: int) -> None:
        """Build the network. Raises CapabilityError for a mode that this Linux lacks."""
        self._mode, backend = _MODES[mode]
        require_mode(self._mode)
        self._cluster = plan_many_services(services, endpoints)
        with ExitStack() as parts:
            self._network: Network = parts.enter_context(build_network(plan_addresses(self._cluster)))
            listening = ((ports, self._network.pod(ports.pod)) for ports in plan_pod_ports(self._cluster))
            self._backends = parts.enter_context(build_backends(listening))
            node = self._cluster.nodes[0].name
            config = lab_config(self._cluster)
            self._proxier = Proxier(self._network.node(node), node, self._mode, config, backend)
            self._parts = parts.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    @property
    def namespace(self) -> Namespace:
        """The node's namespace: what was programmed can be read there."""
        return self._proxier.namespace

    def program(self) -> SyncTimes:
        """Program the node from nothing, take one endpoint of the last Service away and give it back."""
        program_s = self._proxier.sync(self._cluster).seconds
        whole = self._cluster.slices[-1]
        key = self._cluster.services[-1].key
        fewer = replace(whole, endpoints=whole.endpoints[1:])
        removed, added = (
            self._proxier.update(ClusterChanges(slices={key: (one,)})).seconds for one in (fewer, whole)
        )
        return SyncTimes(program_s, removed, added)

    def measure(self, place: PlaceName, flows: int, seed: int) -> RunResult:
        """Send `flows` connections, one after the other, to the first, the middle or the last Service."""
        services = self._cluster.services
        service = services[{"first": 0, "middle": (len(services) - 1) // 2, "last": -1}[place]]
        target = ServiceTarget(
            f"{service.key}:{PORT}",
            Target(service.cluster_ip, PORT),
            tuple(pod.key for pod in self._cluster.pods),
        )
        algorithm = "rr" if self._mode == "ipvs" else "random"
        return measure_service(
            self._network,
            self._backends,
            target,
            Workload(connections=flows, concurrency=1),
            seed=seed,
            programmed=Programmed(self._mode, algorithm),
        )
