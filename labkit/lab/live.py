"""LiveCluster: the cluster of a lab, built and programmed: what it is made of, and how it changes."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from labkit.errors import LabError, RequestError
from labkit.fabric.build import Network, build_network
from labkit.guest.info import current
from labkit.lab.linux import clock_of_this_linux, mode_of_this_linux, require_guest
from labkit.lab.upkeep import Upkeep
from labkit.proxy.extension import lab_extension
from labkit.proxy.health import HealthCheckServer, plan_health_checks
from labkit.proxy.plans import Mode, find_node, lab_config
from labkit.proxy.program import available_modes, available_schedulers
from labkit.proxy.program_device import read_node_addresses
from labkit.proxy.settings import nftables_settings, node_settings
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.balancer import plan_balancer
from labkit.spec.naming import namespace_name
from labkit.spec.podstates import with_pod_states, written_state
from labkit.spec.summary import summarise_cluster
from labkit.spec.text import Text
from labkit.traffic.backend import Backends, build_backends, plan_pod_ports
from labkit.traffic.balancer import Balancer
from labkit.traffic.prober import Prober

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from labkit.fabric.namespace import Namespace
    from labkit.guest.clock import Clock
    from labkit.spec.clients import ClientPlan
    from labkit.spec.model import ClusterSpec, Service
    from labkit.spec.podstates import PodState
    from labkit.spec.proxyconfig import ProxyConfig

    Progress = Callable[[int, int, str], None]

RANDOM = "random"  # what kube-proxy's iptables and nftables rules do


class LiveCluster:
    """A live cluster. `open` builds it; `close()`, or the end of `with`, removes it.

    `cluster` is what the manifests say, with the pods' states as they are now. `nodes`, `pods` and `clients`
    are the network namespaces by the names that `ip netns` shows, `services` the Services by the same kind
    of name, `proxy` is kube-proxy by node. `trouble` is why kube-proxy could not follow a probe or its clock,
    if so.
    """

    _opened: ClassVar[LiveCluster | None] = None

    def __init__(
        self, cluster: ClusterSpec, config: ProxyConfig, clients: Sequence[ClientPlan] | None
    ) -> None:
        """Hold what the lab is to be; `open` then builds it."""
        self.manifests: tuple[str, ...] = ()
        self.cluster = cluster
        self.config = config
        self.mode: Mode = "iptables"
        self.scheduler = ""
        self.weights: Mapping[str, int] = {}
        self._written = cluster
        self._states: dict[str, PodState] = {}
        self.trouble: LabError | None = None
        self._balancer_plan = plan_balancer(cluster)
        self._plan = plan_addresses(cluster, clients, self._balancer_plan)
        self._balancer: Balancer | None = None
        self._parts = contextlib.ExitStack()
        self._programming = threading.RLock()  # a probe's result may come while a lesson switches modes

    @classmethod
    def open(
        cls,
        *manifests: str | Path | Text,
        mode: str = "iptables",
        scheduler: str = "rr",
        config: ProxyConfig | None = None,
        clients: Sequence[ClientPlan] | None = None,
        on_progress: Progress | None = None,
    ) -> Self:
        """Build the cluster of `manifests` (shipped labs' names, files, texts); its pods answer then.

        A process has one lab: the one that it opened before is closed first, so that a notebook's cell can be
        run again.
        Raises CapabilityError outside of the lab's Linux and for a mode that it lacks, SpecError for the
        manifests' mistakes, RequestError for an unknown mode or scheduler, BuildError or ProgramError for
        what the guest refuses. Then nothing is left.
        """
        require_guest()
        # What reads manifests takes longer to import than all else here, and `open_cluster` does without.
        from labkit.spec.cluster import read_manifests
        from labkit.spec.manifest import shipped_labs

        if not manifests:
            raise RequestError(
                "a lab needs a manifest", todo=f"name a file, or one of: {', '.join(shipped_labs())}"
            )
        return cls.open_cluster(
            read_manifests(manifests),
            manifests=tuple(_manifest_name(one) for one in manifests),
            mode=mode,
            scheduler=scheduler,
            config=config,
            clients=clients,
            on_progress=on_progress,
        )

    @classmethod
    def open_cluster(
        cls,
        cluster: ClusterSpec,
        *,
        manifests: tuple[str, ...] = (),
        mode: str = "iptables",
        scheduler: str = "rr",
        config: ProxyConfig | None = None,
        clients: Sequence[ClientPlan] | None = None,
        on_progress: Progress | None = None,
    ) -> Self:
        """Build a cluster whose manifests (their names) were read before; else as `open`."""
        require_guest()
        lab = cls(cluster, config or lab_config(cluster), clients)
        lab.manifests = manifests
        lab.mode, lab.scheduler = mode_of_this_linux(mode), scheduler
        lab._build(on_progress)
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        head = f"Lab {' '.join(self.manifests)}: {self.mode} mode, a pod is chosen by {self.algorithm}"
        guest = current()
        terminal = f"A terminal in this lab: labkit attach {guest.lab}" if guest else ""
        cluster = summarise_cluster(self.cluster, self._plan.clients.values(), self._balancer_plan)
        trouble = [f"trouble  {self.trouble.message}"] if self.trouble else []
        return "\n  ".join([head, *cluster, *trouble, terminal])

    @property
    def network(self) -> Network:
        """The live network. Raises RequestError when the lab is closed."""
        if not hasattr(self, "_network"):
            raise RequestError("this lab is closed", todo="open it again: Lab.open(...)")
        return self._network

    @property
    def nodes(self) -> Mapping[str, Namespace]:
        """The nodes' network namespaces by name."""
        return {node.name: self.network.node(node.name) for node in self.cluster.nodes}

    @property
    def pods(self) -> Mapping[str, Namespace]:
        """The pods' network namespaces by the names that `ip netns` shows."""
        return {namespace_name(pod): self.network.pod(pod.key) for pod in self.cluster.pods}

    def namespace(self, name: str) -> Namespace:
        """Return a namespace by name: a pod's (`web-1`, `default/web-1`), node's, client's, the balancer's.

        Raises RequestError for a name that there is not.
        """
        inner = self._plan.pod_names.get(self._pod_key(name), name)
        return self.network.namespaces[self._plan.namespace(inner).name]

    @property
    def clients(self) -> Mapping[str, Namespace]:
        """The clients' network namespaces by name."""
        return {name: self.network.client(name) for name in self._plan.clients}

    @property
    def services(self) -> Mapping[str, Service]:
        """The Services: `web` in the Kubernetes namespace `default`, `shop.web` in another."""
        return {namespace_name(service): service for service in self.cluster.services}

    @property
    def balancer(self) -> Balancer:
        """The load balancer outside of the cluster. Raises RequestError if the lab has none or is closed."""
        namespace = self.network.balancer  # says why where there is none
        if self._balancer is None:
            raise RequestError(f"{namespace.name} does not run", todo="open the lab again: Lab.open(...)")
        return self._balancer

    @property
    def algorithm(self) -> str:
        """How a pod is chosen now: the scheduler in IPVS mode, `random` in the others."""
        return self.scheduler if self.mode == "ipvs" else RANDOM

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that this guest can be programmed in."""
        return available_modes()

    @property
    def clock(self) -> Clock:
        """Whether this guest's time, and so every latency measured in it, is real or virtual."""
        return clock_of_this_linux()

    @property
    def schedulers(self) -> tuple[str, ...]:
        """The IPVS schedulers that this guest has."""
        return available_schedulers(self.network.node(self.cluster.nodes[0].name))

    @property
    def iptables_backend(self) -> Literal["legacy", "nft"]:
        """Which of the two kinds of iptables this guest has."""
        return next(iter(self.proxy.values())).backend.name

    def switch(self, mode: str, scheduler: str = "rr", weights: Mapping[str, int] | None = None) -> None:
        """Let kube-proxy work in another mode; `weights` (by pod) are the lab's extension to IPVS mode.

        Connections and counters of before stay, as they would on a real node; `reset()` clears them. Raises
        RequestError for a mode, scheduler or pod that there is not, CapabilityError for a mode that this
        guest lacks, and the lab stays as it was.
        """
        with self._programming:
            before = self.mode, self.scheduler, self.weights
            self.mode, self.scheduler = mode_of_this_linux(mode), scheduler
            self.weights = {self._pod_key(name): weight for name, weight in (weights or {}).items()}
            try:
                self._program()
            except BaseException:
                self.mode, self.scheduler, self.weights = before
                raise

    def reset(self, mode: str = "", scheduler: str = "") -> None:
        """Start over: new namespaces, new rules, no connections; the mode stays where none is given.

        Raises RequestError for a mode that there is not and CapabilityError for one that this guest lacks,
        before anything is taken down.
        """
        mode = mode_of_this_linux(mode or self.mode)
        self._tear_down()
        self.mode, self.scheduler = mode, scheduler or self.scheduler
        self._build(None)

    def close(self) -> None:
        """Remove the lab. A second call does nothing."""
        if LiveCluster._opened is self:
            LiveCluster._opened = None
        self._tear_down()

    def _build(self, on_progress: Progress | None) -> None:
        former, LiveCluster._opened = LiveCluster._opened, self
        if former is not None and former is not self:
            former.close()
        with contextlib.ExitStack() as parts:
            self._network = parts.enter_context(build_network(self._plan, on_progress=on_progress))
            pods = [(ports, self._network.pod(ports.pod)) for ports in plan_pod_ports(self._written)]
            self.backends: Backends = parts.enter_context(build_backends(pods))
            self.proxy: Mapping[str, Proxier] = MappingProxyType(
                {
                    name: Proxier(namespace, name, self.mode, self.config)
                    for name, namespace in self.nodes.items()
                }
            )
            self._states = {}
            self._health_checks = parts.enter_context(HealthCheckServer())
            self._program()
            probed = ((pod, self.network.node(pod.node)) for pod in self._written.pods)
            self._prober = parts.enter_context(Prober(probed, self._note_readiness))
            parts.enter_context(Upkeep(self._remove_drained))
            if self._balancer_plan is not None:
                self._balancer = parts.enter_context(Balancer(self._balancer_plan, self._network.balancer))
            self._parts = parts.pop_all()

    def _tear_down(self) -> None:
        self._parts.close()
        with contextlib.suppress(AttributeError):
            del self._network

    def _program(self) -> None:
        with self._programming:
            self.cluster = with_pod_states(self._written, self._states)
            weights = lab_extension(self.cluster, weights=self.weights)
            config = replace(self.config, ipvs=replace(self.config.ipvs, scheduler=self.scheduler))
            for proxier in self.proxy.values():
                proxier.mode, proxier.config = self.mode, config
                proxier.sync(self.cluster, weights)
                self._update_health_checks(proxier)

    def _update_health_checks(self, proxier: Proxier) -> None:
        node = find_node(self.cluster, proxier.node)
        read_settings = nftables_settings if proxier.mode == "nftables" else node_settings
        settings = read_settings(node, proxier.config, read_node_addresses(proxier.namespace))
        addresses = ("",) if settings.node_ports_everywhere else settings.node_port_addresses
        self._health_checks.update(proxier.namespace, plan_health_checks(self.cluster, settings), addresses)

    def _state(self, pod: str) -> PodState:
        return self._states.get(pod) or written_state(self._written, pod)

    def _set_state(self, pod: str, state: PodState) -> None:
        with self._programming:
            if state != self._state(pod):
                self._states[pod] = state
                self._program()

    def _note_readiness(self, pod: str, *, ready: bool) -> None:
        with self._programming:
            try:
                self._set_state(pod, replace(self._state(pod), is_ready=ready))
                self.trouble = None
            except LabError as error:  # in the probe's thread nobody would hear of it
                self.trouble = error

    def _remove_drained(self) -> None:
        with self._programming:
            try:
                for proxier in self.proxy.values():
                    proxier.remove_drained()
            except LabError as error:  # as above
                self.trouble = error

    def _pod_key(self, name: str) -> str:
        keys = {namespace_name(pod): pod.key for pod in self.cluster.pods}
        return keys.get(name, name)


def _manifest_name(manifest: str | Path | Text) -> str:
    if isinstance(manifest, Text):
        return manifest.name
    return "(a manifest's text)" if "\n" in str(manifest) else str(manifest)
