"""Lab: a live cluster with what a lesson does to it: measure, send, follow, shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.fabric.shaping import Shaping, apply_shaping
from labkit.lab.changing import ChangingCluster
from labkit.measure.experiment import Programmed, complete_workload, measure_service
from labkit.measure.recovery import Recovery
from labkit.measure.targets import find_service_target
from labkit.traffic.capture import CapturePoint
from labkit.traffic.exchange import exchange
from labkit.traffic.packets import follow_connection, probe, send_datagrams
from labkit.traffic.retrying import CallPlan, call_repeatedly
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from labkit.measure.blasting import BlastResult
    from labkit.measure.experiment import ServiceTarget
    from labkit.measure.journey.events import Packets
    from labkit.measure.journey.journey import Journey
    from labkit.measure.records import RunResult
    from labkit.traffic.capture import SeenPacket
    from labkit.traffic.packets import DatagramAnswers, FollowedConnection

DEFAULT_CLIENT = "client"


class Lab(ChangingCluster):
    """A live cluster and what a lesson does to it. `Lab.open("web")` builds it, `close()` removes it."""

    def measure(
        self,
        service: str | ServiceTarget = "",
        *,
        client: str = DEFAULT_CLIENT,
        seed: int = 1,
        on_progress: Callable[[int, int], None] | None = None,
        **workload: Any,
    ) -> RunResult:
        """Send connections to a Service port and return who answered and how fast.

        `workload` are the fields of Workload (connections=300, concurrency=8, ...). Service times and weights
        that it does not name are those of the pods' annotations and of `switch`. Raises RequestError for a
        Service, client or workload that cannot be, TrafficError where backends or client cannot work.
        """
        return measure_service(
            self.network,
            self.backends,
            self._target(service),
            self.complete(Workload(**workload)),
            seed=seed,
            programmed=Programmed(self.mode, self.algorithm, self.clock),
            client=client,
            with_taps=self.clock == "real",  # forwarding takes no virtual time
            progress=on_progress,
        )

    def blast(
        self, service: str | ServiceTarget = "", *, flows: int = 20_000, client: str = DEFAULT_CLIENT
    ) -> BlastResult:
        """Send the first frame of each of `flows` new flows to a Service port; return who got how many.

        Raises RequestError for a Service, client, number or clock that cannot be, TrafficError where frames
        cannot be sent or counted.
        """
        from labkit.measure.blasting import blast_service

        programmed = Programmed(self.mode, self.algorithm, self.clock)
        return blast_service(self.network, self._target(service), flows, programmed=programmed, client=client)

    def call(
        self, service: str | ServiceTarget = "", *, client: str = DEFAULT_CLIENT, **plan: Any
    ) -> Recovery:
        """Call a Service port again and again, with retries; return what the client saw, call by call.

        `plan` are the fields of CallPlan (calls=30, every_s=1.0, timeout_s=1.0, retries=2, backoff_s=0.0).
        With `lab.happening(...)` around it, it shows what a pod's death costs. Raises RequestError for a
        Service, client or plan that cannot be.
        """
        target, planned = self._target(service), CallPlan(**plan)
        calls = call_repeatedly(self.network.client(client), self._address(client), target.target, planned)
        return Recovery(target.service, self.mode, self.algorithm, calls)

    def complete(self, workload: Workload) -> Workload:
        """Return the workload with every pod's service time and weight in it."""
        return complete_workload(workload, self.cluster.pods, self.weights)

    def shape(self, name: str, shaping: Shaping) -> None:
        """Shape what leaves a pod (`web-1`, `default/web-1`), client or node, instead of any shaping before.

        Raises RequestError for a name that there is not, CapabilityError where this Linux has no netem.
        """
        namespace = self.namespace(name)
        apply_shaping(namespace, self._plan.link(namespace.name).interface, shaping)

    def send(self, packet: Any, client: str = DEFAULT_CLIENT) -> Any | None:
        """Send a packet made with Scapy (`IP(...) / ...`) from a client; return the answer to it, or None."""
        return exchange(self.network.client(client), packet)

    def route(self, name: str, address: str) -> str:
        """Return which way a node, pod, client or the balancer would send packets to `address`.

        It is what `ip route get` says there; `local` means that they never leave. RequestError for an unknown
        name, or for what is no address.
        """
        namespace = self.namespace(name)
        asked = namespace.command(["ip", "route", "get", address])
        if asked.status:
            raise RequestError(
                f"{name} has no way to {address!r}: {asked.stderr.strip()}",
                where=f"ip route get, in {name}",
                todo="write an IPv4 address such as 203.0.113.10",
            )
        return asked.stdout.split("\n")[0].strip()

    def follow(
        self, service: str | ServiceTarget = "", *, client: str = DEFAULT_CLIENT
    ) -> FollowedConnection:
        """Open one connection to a Service port and return its packets as its client and its pod saw them."""
        target = self._target(service)
        pods = [self._capture_point(key, self._plan.pod(key).name) for key in target.pods]
        return follow_connection(self._client_point(client), self._address(client), target.target, pods)

    def journey(
        self, client: str = DEFAULT_CLIENT, *, service: str = "", packets: Packets = "handshake"
    ) -> AbstractContextManager[Journey]:
        """Send one connection and record everything that happens to it: a context manager with its Journey.

            with lab.journey("client", service="web") as j:
                print(j.text())

        `client` is a client, node or pod; `service` a Service's port or `HOST:PORT[/UDP]`. `packets`: the
        first, the handshake's three, or all. As long as the block lasts, the nodes have a table of the
        journey's own (`nft list ruleset`); nothing is left when it ends. Raises RequestError for a client,
        Service or packets that there are not, TrafficError where anything was lost.
        """
        from labkit.lab.journeys import record_journey  # what few labs do is imported when they do it

        return record_journey(self, client, service, packets)

    def probe(
        self, service: str | ServiceTarget = "", *, client: str = DEFAULT_CLIENT
    ) -> tuple[SeenPacket, ...]:
        """Send one SYN that Scapy crafted to a Service port; return what passed at the client."""
        return probe(self._client_point(client), self._address(client), self._target(service).target)

    def send_datagrams(
        self, service: str | ServiceTarget = "", *, count: int = 100, client: str = DEFAULT_CLIENT
    ) -> DatagramAnswers:
        """Send UDP datagrams that Scapy crafted to a Service port; return who answered how many of them."""
        addresses = self._plan.clients[client].addresses
        return send_datagrams(self._client_point(client), addresses, self._target(service).target, count)

    def _target(self, service: str | ServiceTarget) -> ServiceTarget:
        return find_service_target(self.cluster, service) if isinstance(service, str) else service

    def _address(self, client: str) -> str:
        return self._plan.clients[client].address

    def _client_point(self, client: str) -> CapturePoint:
        return self._capture_point(client, self._plan.client(client).name)

    def _capture_point(self, where: str, namespace: str) -> CapturePoint:
        interface = self._plan.link(namespace).interface.name
        return CapturePoint(where, self.network.namespaces[namespace], interface)
