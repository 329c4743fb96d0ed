"""Experiments: one run of a workload, in a fresh guest, as a pure function of what it is given.

    result = run(Experiment.of("unequal", scheduler="lc", workload=Workload(...)))

In virtual time the result depends on nothing else, not on the machine's load either; in real time it holds
the kernel's own cost, and so the machine's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping  # noqa: TC003  the JSON is made from the annotations
from concurrent.futures import as_completed
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import GuestError, LabError, decode_error, encode_error
from labkit.fabric.shaping import Shaping  # noqa: TC001
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME, Clock, Timing
from labkit.guest.jobs import Job, JobPool
from labkit.guest.run import DEFAULT_MEMORY_MB
from labkit.measure.records import FlowRecord, GuestFacts, RunResult
from labkit.measure.schema import decode, encode, written_fields
from labkit.spec.documents import Text  # noqa: TC001
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    Progress = Callable[[int, int, str], None]

_COMMAND = (sys.executable, "-m", "labkit.experiment")
_OFFERED = "offered"
_flow_values = attrgetter(*written_fields(FlowRecord))
_TIMINGS: Mapping[Clock, Timing] = {"real": REAL_TIME, "virtual": VIRTUAL_TIME}


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is measured. `manifests` are whole texts, so that no file has to be there when it runs.

    `service` may be "" where the cluster has one Service port. `shaping` is by pod (`namespace/name`), client
    or node: netem on what leaves it. Service times and weights that `workload` does not name are those of the
    pods' annotations.
    """

    manifests: tuple[Text, ...]
    mode: str = "ipvs"
    scheduler: str = "rr"
    service: str = ""
    workload: Workload = field(default_factory=Workload)
    shaping: Mapping[str, Shaping] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    seed: int = 1
    clock: Clock = "virtual"

    @classmethod
    def of(cls, *manifests: str | Path, **others: Any) -> Experiment:
        """Return an experiment with the manifests that are named: files or shipped labs.

        `others` are the other fields. Raises RequestError or SpecError for manifests that cannot be.
        """
        from labkit.spec.cluster import load_manifests

        return cls(load_manifests(manifests), **others)

    def __str__(self) -> str:
        algorithm = f"{self.mode} {self.scheduler}" if self.mode == "ipvs" else self.mode
        return f"{algorithm}: {self.service}" if self.service else algorithm


@dataclass(frozen=True, slots=True)
class GuestChoice:
    """Which guests experiments run in (`guest` as for `choose_linux`), each with so much memory."""

    guest: str | None = None
    memory_mb: int = DEFAULT_MEMORY_MB


ANY_GUEST = GuestChoice()


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of an experiment: its run with every flow, and the Linux that it ran on."""

    run: RunResult
    guest: GuestFacts
    iptables_backend: Literal["legacy", "nft"]


@dataclass(frozen=True, slots=True)
class Offered:
    """What a guest can be programmed with: kube-proxy's modes, and IPVS schedulers."""

    modes: tuple[str, ...]
    schedulers: tuple[str, ...]


def run(experiment: Experiment) -> RunResult:
    """Run an experiment in a fresh guest and return its result.

    Raises what the lab raises for what the experiment names, CapabilityError where no guest can run it, and
    GuestError when its guest dies or it takes longer than it may.
    """
    (outcome,) = run_all([experiment])
    if isinstance(outcome, LabError):
        raise outcome
    return outcome.run


def run_all(
    experiments: Sequence[Experiment],
    on_progress: Progress | None = None,
    *,
    workers: int | None = None,
    guests: GuestChoice = ANY_GUEST,
) -> tuple[Measured | LabError, ...]:
    """Run experiments, `workers` at a time (None: one a processor), and return what came of each, in order.

    One that fails does not hold up the others. `on_progress(done, total, what)` counts them in the caller's
    thread. An interrupt ends all of them and leaves nothing.
    """
    with JobPool(workers) as pool:
        futures = {pool.submit(plan_job(one, guests)): str(one) for one in experiments}
        for done, future in enumerate(as_completed(futures), 1):
            if on_progress is not None:
                on_progress(done, len(futures), futures[future])
        return tuple(_outcome(future, name) for future, name in futures.items())


def find_offered(clock: Clock, guests: GuestChoice = ANY_GUEST) -> Offered:
    """Return what the guest that experiments would run in offers: a fresh one is asked."""
    job = Job(
        name="asking for its modes and schedulers",
        argv=(*_COMMAND, _OFFERED),
        timing=_TIMINGS[clock],
        memory_mb=guests.memory_mb,
        guest=guests.guest,
    )
    with JobPool(1) as pool:
        offered: Offered = decode(Offered, json.loads(pool.submit(job).result()), job.name)
        return offered


def plan_job(experiment: Experiment, guests: GuestChoice = ANY_GUEST) -> Job:
    """Return the job that performs an experiment."""
    return Job(
        name=str(experiment),
        argv=_COMMAND,
        request=json.dumps(encode(experiment)).encode(),
        timing=_TIMINGS[experiment.clock],
        memory_mb=guests.memory_mb,
        guest=guests.guest,
    )


def perform(experiment: Experiment) -> Measured:
    """Run an experiment in the guest that this process runs in: build the lab, measure, take it down."""
    from labkit.guest.info import current
    from labkit.lab import Lab

    with Lab.open(*experiment.manifests, mode=experiment.mode, scheduler=experiment.scheduler) as lab:
        guest = current()
        if guest is None or guest.clock != experiment.clock:
            raise GuestError(f"this Linux' time is not {experiment.clock}", todo="use run(experiment)")
        for name, shaping in experiment.shaping.items():
            lab.shape(name, shaping)
        workload = {part.name: getattr(experiment.workload, part.name) for part in fields(Workload)}
        measured = lab.measure(experiment.service, seed=experiment.seed, **workload)
        facts = GuestFacts(guest.kind, guest.release, guest.cpus)
        return Measured(measured, facts, lab.iptables_backend)


def _to_reply(measured: Measured) -> bytes:
    flows = [_flow_values(flow) for flow in measured.run.flows]  # results.json leaves them out
    return json.dumps({"measured": encode(measured), "flows": flows}).encode()


def _outcome(future: Future[bytes], name: str) -> Measured | LabError:
    try:
        reply = json.loads(future.result())
    except LabError as error:
        return error
    if "measured" not in reply:
        failure = decode_error(json.dumps(reply).encode())
        failure.message = f"{name}: {failure.message}"
        return failure
    measured: Measured = decode(Measured, reply["measured"], name)
    flows = tuple(FlowRecord(*values) for values in reply["flows"])
    return replace(measured, run=replace(measured.run, flows=flows))


def _offered_here() -> Offered:
    from labkit.fabric.namespace import Namespace
    from labkit.lab import require_guest
    from labkit.proxy.program import available_modes, available_schedulers

    require_guest()
    namespace = Namespace.from_new_network("schedulers")
    try:
        return Offered(available_modes(), available_schedulers(namespace))
    finally:
        namespace.close()


def main() -> None:
    """Perform the experiment in standard input; what came of it, or the error, goes to standard output.

    With the argument `offered` there is no experiment: what this guest offers is the answer.
    """
    try:
        if sys.argv[1:] == [_OFFERED]:
            reply = json.dumps(encode(_offered_here())).encode()
        else:
            reply = _to_reply(perform(decode(Experiment, json.load(sys.stdin), "experiment")))
    except LabError as error:
        reply = encode_error(error)
    sys.stdout.buffer.write(reply)


if __name__ == "__main__":
    main()
