"""Experiments: one run of a workload, in a fresh guest, as a pure function of what it is given.

    result = run(Experiment.of("unequal", scheduler="lc", workload=Workload(...)))

In virtual time the result depends on nothing else, not on the machine's load either; in real time it holds
the kernel's own cost, and so the machine's.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from labkit.errors import LabError
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME, Clock, Timing
from labkit.guest.jobs import Job, JobPool
from labkit.guest.run import DEFAULT_MEMORY_MB
from labkit.performing import Experiment, Measured, Performance, read_reply
from labkit.proxy.plans import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.measure.records import RunResult
    from labkit.spec.model import ClusterSpec
    from labkit.spec.text import Text

    Progress = Callable[[int, int, str], None]

__all__ = [
    "ANY_GUEST",
    "Experiment",
    "GuestChoice",
    "Measured",
    "Offered",
    "find_offered",
    "plan_job",
    "run",
    "run_all",
]

# Not `-m`: the module would be there twice, as it is run and as what is unpickled names it.
_COMMAND = (sys.executable, "-c", "from labkit.performing import main; main()")
_QUESTION = (sys.executable, "-m", "labkit.guest.probe", "forwarding")


@dataclass(frozen=True, slots=True)
class GuestChoice:
    """Which guests experiments run in (`guest` as for `choose_linux`), each with so much memory.

    `virtual_time` bounds those whose time is virtual.
    """

    guest: str | None = None
    memory_mb: int = DEFAULT_MEMORY_MB
    virtual_time: Timing = VIRTUAL_TIME

    def timing(self, clock: Clock) -> Timing:
        """Return the clock and the bounds of a guest with this clock."""
        return self.virtual_time if clock == "virtual" else REAL_TIME


ANY_GUEST = GuestChoice()


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
        futures = {_begin(pool, one, guests): str(one) for one in experiments}
        for done, future in enumerate(as_completed(futures), 1):
            if on_progress is not None:
                on_progress(done, len(futures), futures[future])
        return tuple(_outcome(future, name) for future, name in futures.items())


def find_offered(clock: Clock, guests: GuestChoice = ANY_GUEST) -> Offered:
    """Return what the guest that experiments would run in offers: a fresh one is asked."""
    job = Job(
        name="asking for its modes and schedulers",
        argv=_QUESTION,
        timing=guests.timing(clock),
        memory_mb=guests.memory_mb,
        guest=guests.guest,
    )
    with JobPool(1) as pool:
        answer = json.loads(pool.submit(job).result())
    modes = tuple(mode for mode in MODES if mode != "nftables" or answer["nf_tables"])
    return Offered(modes, tuple(answer["schedulers"]))


def plan_job(experiment: Experiment, guests: GuestChoice = ANY_GUEST) -> Job:
    """Return the job that performs an experiment. Raises SpecError for manifests with mistakes."""
    return Job(
        name=str(experiment),
        argv=_COMMAND,
        request=Performance(experiment, _cluster_of(experiment.manifests)).to_bytes(),
        timing=guests.timing(experiment.clock),
        memory_mb=guests.memory_mb,
        guest=guests.guest,
    )


def _begin(pool: JobPool, experiment: Experiment, guests: GuestChoice) -> Future[bytes]:
    try:
        return pool.submit(plan_job(experiment, guests))
    except LabError as error:  # a manifest's mistakes are this experiment's outcome, and no other's
        refused: Future[bytes] = Future()
        refused.set_exception(error)
        return refused


@lru_cache(maxsize=8)  # the experiments of a grid have few clusters
def _cluster_of(manifests: tuple[Text, ...]) -> ClusterSpec:
    from labkit.spec.cluster import read_cluster

    return read_cluster(manifests)


def _outcome(future: Future[bytes], name: str) -> Measured | LabError:
    try:
        return read_reply(future.result(), name)
    except LabError as error:
        return error
