"""The comparison: the same traffic to the same cluster, under one algorithm after another."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.errors import GuestError, LabError, RequestError
from labkit.experiment import ANY_GUEST, Experiment, run_all
from labkit.guest.info import current
from labkit.measure.experiment import complete_workload, plan_service_targets
from labkit.measure.records import GuestFacts, Report
from labkit.proxy.plans import MODES, known_mode
from labkit.proxy.program import require_mode
from labkit.spec.clients import CLIENT_ADDRESSES
from labkit.spec.cluster import read_cluster
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.experiment import GuestChoice
    from labkit.lab import Lab
    from labkit.measure.experiment import ServiceTarget
    from labkit.measure.records import RunResult
    from labkit.spec.model import ClusterSpec
    from labkit.spec.text import Text
    from labkit.traffic.capture import SeenPacket
    from labkit.traffic.packets import DatagramAnswers, FollowedConnection

    Progress = Callable[[int, int, str], None]

IPTABLES, IPVS = "iptables", "ipvs"
DEFAULT_SCHEDULER = "rr"  # kube-proxy's own default in IPVS mode
DATAGRAMS = 40
# One minute of it, from as many addresses as a client has, so that hashing has something to hash. Nobody
# gives up on an overloaded pod: waiting costs nothing in virtual time, and all of its answers are counted.
ARRIVALS_PER_S = 60.0
OPEN_LOOP = Workload(
    connections=3600,
    arrivals="poisson",
    rate_per_s=ARRIVALS_PER_S,
    clients=CLIENT_ADDRESSES,
    timeout_s=3600.0,
)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A mode, and in IPVS mode its scheduler ("" in the other modes, which choose at random)."""

    mode: str
    scheduler: str = ""

    def __str__(self) -> str:
        return f"{self.mode} {self.scheduler}".strip()


@dataclass(frozen=True, slots=True)
class CraftedTraffic:
    """What came of packets that Scapy crafted: a SYN to a TCP port, datagrams to a UDP port."""

    service: str
    probe: tuple[SeenPacket, ...] = ()
    datagrams: DatagramAnswers | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measured runs, one connection followed from end to end, and the crafted traffic's answers.

    `failures`: what went wrong with runs that could not be measured.
    """

    report: Report
    followed: FollowedConnection | None
    crafted: tuple[CraftedTraffic, ...]
    failures: tuple[LabError, ...] = ()


def parse_algorithms(text: str, schedulers: Sequence[str]) -> tuple[Algorithm, ...]:
    """Return the algorithms that `text` lists: modes' names (ipvs: its default scheduler) or schedulers'.

    `schedulers` are those of this guest. Raises RequestError for a name that is none of these.
    """
    known = {mode: _default(mode) for mode in MODES} | {"random": Algorithm(IPTABLES)}
    known |= {scheduler: Algorithm(IPVS, scheduler) for scheduler in schedulers}
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise RequestError(
            f"no algorithm is called {', '.join(map(repr, unknown))}" if unknown else "no algorithm is named",
            where=f"--algorithms {text}",
            todo=f"use modes or IPVS schedulers of this guest: {', '.join((*MODES, *schedulers))}",
        )
    return tuple(dict.fromkeys(known[name] for name in names))


def every_algorithm(modes: Sequence[str], schedulers: Sequence[str]) -> tuple[Algorithm, ...]:
    """Return `modes`, IPVS mode once with every one of `schedulers`."""
    return (
        *(Algorithm(mode) for mode in modes if mode != IPVS),
        *(Algorithm(IPVS, scheduler) for scheduler in schedulers),
    )


def every_mode(modes: Sequence[str]) -> tuple[Algorithm, ...]:
    """Return `modes`, each with kube-proxy's default."""
    return tuple(_default(mode) for mode in modes)


def _default(mode: str) -> Algorithm:
    return Algorithm(mode, DEFAULT_SCHEDULER if mode == IPVS else "")


def compare(
    lab: Lab, algorithms: Sequence[Algorithm], connections: int, seed: int, on_progress: Progress
) -> Comparison:
    """Send `connections` to every Service port of `lab` under every algorithm; the lab starts over for each.

    `on_progress(done, total, what)` counts runs. Raises CapabilityError for a mode that this guest lacks,
    before any run, RequestError where the lab has no Service to call, and what `Lab.reset` and `Lab.measure`
    raise.
    """
    for algorithm in algorithms:
        require_mode(known_mode(algorithm.mode))
    targets = called_services(lab.cluster)
    runs: list[RunResult] = []
    followed, crafted = None, list[CraftedTraffic]()
    total = len(algorithms) * len(targets)
    for algorithm in algorithms:
        on_progress(len(runs), total, f"building a fresh lab for {algorithm}")
        lab.reset(algorithm.mode, algorithm.scheduler)
        if not runs:
            followed, crafted = _follow_first(lab, targets), [_craft(lab, target) for target in targets]
        for target in targets:
            on_progress(len(runs), total, f"{algorithm}: {target.service}")
            runs.append(lab.measure(target, seed=seed, connections=connections))
    on_progress(total, total, "done")
    workload = lab.complete(Workload(connections=connections))
    report = Report(_guest_facts(), lab.iptables_backend, seed, lab.manifests, workload, tuple(runs))
    return Comparison(report, followed, tuple(crafted))


def compare_in_virtual_time(
    manifests: Sequence[Text],
    algorithms: Sequence[Algorithm],
    workload: Workload,
    seed: int,
    on_progress: Progress,
    *,
    guests: GuestChoice = ANY_GUEST,
) -> Comparison:
    """Send `workload` to every Service port under every algorithm, each in a fresh guest in virtual time.

    What went wrong with those that could not be measured is in `failures`. Raises RequestError where there is
    no Service to call, the first error where nothing could be measured.
    """
    cluster = read_cluster(manifests)
    experiments = [
        Experiment(
            tuple(manifests),
            algorithm.mode,
            algorithm.scheduler,
            f"{target.service}/{target.target.protocol}",
            workload,
            seed=seed,
            clock="virtual",
        )
        for algorithm in algorithms
        for target in called_services(cluster)
    ]
    on_progress(0, len(experiments), "starting guests in virtual time")
    outcomes = run_all(experiments, on_progress, guests=guests)
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, LabError))
    measured = [outcome for outcome in outcomes if not isinstance(outcome, LabError)]
    if not measured:
        raise failures[0]
    complete = complete_workload(workload, cluster.pods, {})
    report = Report(
        guest=measured[0].guest,
        iptables_backend=measured[0].iptables_backend,
        seed=seed,
        manifests=tuple(text.name for text in manifests),
        workload=complete,
        runs=tuple(one.run for one in measured),
    )
    return Comparison(report, None, (), failures)


def open_loop(connections: int | None = None) -> Workload:
    """Return traffic that comes whatever the pods do; None: one minute of it."""
    return OPEN_LOOP if connections is None else replace(OPEN_LOOP, connections=connections)


def called_services(cluster: ClusterSpec) -> tuple[ServiceTarget, ...]:
    """Return the Service ports that a comparison calls. Raises RequestError where there is none."""
    targets = plan_service_targets(cluster)
    if not targets:
        raise RequestError(
            "there is nothing to call: no Service with a cluster IP and a TCP or UDP port",
            where="the manifests",
            todo="add a Service, or try one of the shipped labs: labkit demo web",
        )
    return targets


def _follow_first(lab: Lab, targets: Sequence[ServiceTarget]) -> FollowedConnection | None:
    answering = [target for target in targets if target.pods and target.target.protocol == "TCP"]
    return lab.follow(answering[0]) if answering else None


def _craft(lab: Lab, target: ServiceTarget) -> CraftedTraffic:
    if target.target.protocol == "UDP":
        return CraftedTraffic(target.service, datagrams=lab.send_datagrams(target, count=DATAGRAMS))
    return CraftedTraffic(target.service, probe=lab.probe(target))


def _guest_facts() -> GuestFacts:
    guest = current()
    if guest is None:
        raise GuestError("a comparison runs in the lab's Linux", todo="labkit exec -- python ...")
    return GuestFacts(guest.kind, platform.release(), guest.cpus)
