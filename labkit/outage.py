"""Outages: what a retrying client sees of pods that die, as a pure function, in a fresh guest of its own.

    run_outage(Outage.of("dead-backend", scheduler="lc", events=(Event(10.5, "web-1", "refuses"),)))

In virtual time a minute of it takes a second, and what no chance decides (IPVS) comes out the same each time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError, decode_error, encode_error
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME, Clock
from labkit.guest.jobs import Job, JobPool
from labkit.measure.recovery import Recovery
from labkit.measure.schema import decode, encode
from labkit.spec.events import Event  # noqa: TC001  the JSON is made from the annotations
from labkit.spec.text import Text  # noqa: TC001
from labkit.traffic.retrying import CallPlan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from pathlib import Path

_COMMAND = (sys.executable, "-m", "labkit.outage")


@dataclass(frozen=True, slots=True)
class Outage:
    """A cluster, how it is programmed, who calls what, and what happens meanwhile.

    `manifests` are whole texts. `service` may be "" where the cluster has one Service port. The client is a
    pod on the first node.
    """

    manifests: tuple[Text, ...]
    mode: str = "ipvs"
    scheduler: str = "rr"
    service: str = ""
    plan: CallPlan = field(default_factory=CallPlan)
    events: tuple[Event, ...] = ()
    clock: Clock = "virtual"

    @classmethod
    def of(cls, *manifests: str | Path, **others: Any) -> Outage:
        """Return an outage with the manifests that are named: files or shipped labs; `others`: other fields.

        Raises RequestError or SpecError for manifests that cannot be.
        """
        from labkit.spec.cluster import load_manifests

        return cls(load_manifests(manifests), **others)

    def __str__(self) -> str:
        return f"{self.mode} {self.scheduler}" if self.mode == "ipvs" else self.mode


def run_outage(outage: Outage) -> Recovery:
    """Run one outage and return what the client saw. Raises what the lab raises, and GuestError."""
    (outcome,) = run_outages([outage])
    if isinstance(outcome, LabError):
        raise outcome
    return outcome


def run_outages(outages: Iterable[Outage], workers: int | None = None) -> tuple[Recovery | LabError, ...]:
    """Run outages, `workers` at a time (None: one a processor); return what came of each, in order."""
    with JobPool(workers) as pool:
        futures = [pool.submit(plan_job(outage)) for outage in outages]
        return tuple(_outcome(future) for future in futures)


def plan_job(outage: Outage) -> Job:
    """Return the job that runs an outage."""
    timing = VIRTUAL_TIME if outage.clock == "virtual" else REAL_TIME
    return Job(str(outage), _COMMAND, json.dumps(encode(outage)).encode(), timing)


def perform(outage: Outage) -> Recovery:
    """Run an outage in the guest that this process runs in."""
    from labkit.lab import Lab

    with Lab.open(*outage.manifests, mode=outage.mode, scheduler=outage.scheduler) as lab:
        plan = {name: getattr(outage.plan, name) for name in encode(outage.plan)}
        with lab.happening(*outage.events):
            return lab.call(outage.service, **plan)


def _outcome(future: Future[bytes]) -> Recovery | LabError:
    try:
        reply = future.result()
    except LabError as error:
        return error
    value = json.loads(reply)
    if "error" in value:
        return decode_error(reply)
    recovery: Recovery = decode(Recovery, value, "recovery")
    return recovery


def main() -> None:
    """Run the outage in standard input; what the client saw, or the error, goes to standard output."""
    try:
        reply = json.dumps(encode(perform(decode(Outage, json.load(sys.stdin), "outage")))).encode()
    except LabError as error:
        reply = encode_error(error)
    sys.stdout.buffer.write(reply)


if __name__ == "__main__":
    main()
