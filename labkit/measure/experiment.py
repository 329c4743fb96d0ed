"""One run: a workload sent to one Service port under whatever is programmed, and what came of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.errors import TrafficError
from labkit.measure.distribution import chi_square_p, expected_shares
from labkit.measure.latency import latency_quantiles
from labkit.measure.load import arrival_window_s, is_overloaded, offered_load
from labkit.measure.records import Clock, FlowRecord, Quantile, RunResult
from labkit.measure.taps import Taps, plan_ingress
from labkit.proxy.services import forwarded_ports
from labkit.proxy.settings import node_settings
from labkit.spec.proxyconfig import ProxyConfig
from labkit.traffic.flow import Target
from labkit.traffic.flows import send_flows
from labkit.traffic.workload import ANY_POD, Workload, plan_flows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from labkit.fabric.build import Network
    from labkit.proxy.services import ForwardedPort
    from labkit.spec.model import ClusterSpec, Pod
    from labkit.traffic.backend import Backends
    from labkit.traffic.flow import FlowOutcome

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A Service port to be measured: its name, where to ask, the pods that may answer.

    `has_affinity`: the Service has session affinity, so that no algorithm alone decides who answers.
    """

    service: str  # "namespace/name:port"
    target: Target
    pods: tuple[str, ...]
    has_affinity: bool = False


@dataclass(frozen=True, slots=True)
class Programmed:
    """What forwards at the moment: the mode, its algorithm (`random` or a scheduler), the guest's clock."""

    mode: str
    algorithm: str
    clock: Clock = "real"


def plan_service_targets(cluster: ClusterSpec, node: str = "") -> tuple[ServiceTarget, ...]:
    """Return the Service ports of a cluster with a cluster IP and TCP or UDP, and the pods that may answer.

    Who may answer is what kube-proxy decides on `node` (the first one, where the client is, if not named):
    ready endpoints, the internal traffic policy, topology hints. Pods are in the cluster's order.
    """
    (chosen, *_) = [one for one in cluster.nodes if node in {"", one.name}]
    return tuple(
        ServiceTarget(
            service=f"{port.service}:{port.port}",
            target=Target(port.cluster_ip, port.port, port.protocol),
            pods=_answering_pods(cluster, port),
            has_affinity=port.affinity_s is not None,
        )
        for port in forwarded_ports(cluster, node_settings(chosen, ProxyConfig()))
        if port.protocol != "SCTP"
    )


def measure_service(
    network: Network,
    backends: Backends,
    service: ServiceTarget,
    workload: Workload,
    *,
    seed: int,
    programmed: Programmed,
    client: str = "client",
    with_taps: bool = True,
    progress: Progress | None = None,
) -> RunResult:
    """Send `workload` to a Service port from `client` and return what was measured.

    `programmed` says what the network is programmed with; nothing is programmed here, weights neither.
    Service times are the workload's during the run (what was set before stays where it names none).
    `progress(done, total)` counts flows. Raises RequestError for what the network does not have,
    TrafficError where backends or client cannot work.
    """
    for pod in workload.weights:
        network.plan.pod(pod)  # refuses a name that no pod has
    plans = plan_flows(workload, seed, network.plan.clients[network.plan.client(client).name].addresses)
    with _service_times(backends, workload), contextlib.ExitStack() as stack:
        taps = stack.enter_context(_open_taps(network, client, service, workload)) if with_taps else None
        before = backends.received()
        outcomes = send_flows(network.client(client), service.target, workload, plans, progress)
        received = {pod: count - before[pod] for pod, count in backends.received().items()}
        reading = taps.read() if taps else None
    forward_us = reading.forward_us(outcomes) if reading else {}
    flows = record_flows(service, outcomes, forward_us)
    lost = reading.lost if reading else 0
    return summarise(service, workload, programmed, flows, received=received, lost_stamps=lost)


def complete_workload(workload: Workload, pods: Sequence[Pod], weights: Mapping[str, int]) -> Workload:
    """Return the workload with every pod's service time and weight in it.

    Those it does not name are the pods' own, by their annotations, and before these `weights`. A service time
    for "*" names all pods.
    """
    names_all = ANY_POD in workload.service_ms
    service_ms = {} if names_all else {pod.key: pod.service_ms for pod in pods if pod.service_ms}
    own_weights = {pod.key: weights.get(pod.key, pod.weight) for pod in pods}
    return replace(
        workload,
        service_ms=service_ms | dict(workload.service_ms),
        weights=own_weights | dict(workload.weights),
    )


def record_flows(
    service: ServiceTarget, outcomes: Sequence[FlowOutcome], forward_us: Mapping[int, float]
) -> tuple[FlowRecord, ...]:
    """Return the records of a run's flows; `forward_us` by flow number, as the taps saw it."""
    return tuple(
        FlowRecord(
            number=outcome.number,
            client=outcome.client,
            service=service.service,
            target=str(service.target),
            protocol=service.target.protocol,
            started_us=outcome.started_us,
            pod=outcome.pod,
            connect_us=outcome.connect_us,
            response_us=outcome.response_us,
            forward_us=forward_us.get(outcome.number),
            error=outcome.error,
        )
        for outcome in outcomes
    )


def summarise(
    service: ServiceTarget,
    workload: Workload,
    programmed: Programmed,
    flows: tuple[FlowRecord, ...],
    *,
    received: Mapping[str, int],
    lost_stamps: int = 0,
) -> RunResult:
    """Return the result of a run: counts, expected shares and their chi-square test, quantiles. Pure.

    `received`: how many requests joined each pod's queue.
    """
    answers = Counter(dict.fromkeys(service.pods, 0))  # a pod that nobody reached is a result too
    answers.update(flow.pod for flow in flows if flow.pod is not None)
    errors = Counter(flow.error for flow in flows if flow.error is not None)
    expected = None
    if not service.has_affinity:
        expected = expected_shares(programmed.algorithm, service.pods, workload.weights)
    load = offered_load(workload, received, arrival_window_s([flow.started_us for flow in flows]))
    return RunResult(
        mode=programmed.mode,
        algorithm=programmed.algorithm,
        clock=programmed.clock,
        service=service.service,
        protocol=service.target.protocol,
        connections=len(flows),
        answered=sum(flow.error is None for flow in flows),
        errors={"refused": errors["refused"], "timeout": errors["timeout"], "reset": errors["reset"]},
        answers=dict(sorted(answers.items())),
        expected_share=expected,
        p_value=chi_square_p(answers, expected) if expected else None,
        overloaded=is_overloaded(load),
        latency_us=_latencies(flows),
        flows=flows,
        lost_stamps=lost_stamps,
    )


def _latencies(flows: Sequence[FlowRecord]) -> dict[str, dict[str, Quantile]]:
    samples = {
        "connect": [flow.connect_us for flow in flows if flow.connect_us is not None],
        "response": [flow.response_us for flow in flows if flow.response_us is not None],
        "forward": [flow.forward_us for flow in flows if flow.forward_us is not None],
    }
    return {name: latency_quantiles(times) for name, times in samples.items() if times}


def _answering_pods(cluster: ClusterSpec, port: ForwardedPort) -> tuple[str, ...]:
    endpoints = port.local if port.internal_local else port.cluster
    behind = {endpoint.pod for endpoint in endpoints}
    return tuple(pod.key for pod in cluster.pods if pod.key in behind)


@contextlib.contextmanager
def _service_times(backends: Backends, workload: Workload) -> Iterator[None]:
    """Set the workload's service times for a run, and leave the pods as they were, with empty queues."""
    before = backends.service_ms
    if workload.service_ms:
        backends.set_service_times(workload.service_ms)
    try:
        yield
    finally:
        with contextlib.suppress(TrafficError):  # they have died: the run itself says so
            backends.drop_queues()
            backends.set_service_times(before)


def _open_taps(network: Network, client: str, service: ServiceTarget, workload: Workload) -> Taps:
    plan = network.plan
    ingress = [(network.namespaces[name], interface) for name, interface in plan_ingress(plan, client)]
    pods = {pod: (network.pod(pod), plan.link(plan.pod(pod).name).interface.name) for pod in service.pods}
    return Taps(ingress, pods, service.target.protocol, workload.connections)
