"""What an experiment is, and how it is performed in the guest that was started for it.

`main` reads an experiment with its cluster from standard input and writes what came of
it. It imports no more than that takes, each experiment pays for it anew: manifests are read before, outside.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping  # noqa: TC003  the JSON is made from the annotations
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import GuestError, LabError, decode_error, encode_error
from labkit.fabric.shaping import Shaping  # noqa: TC001
from labkit.guest.clock import Clock  # noqa: TC001
from labkit.measure.records import FlowRecord, GuestFacts, RunResult
from labkit.measure.schema import decode, encode, written_fields
from labkit.spec.events import Event  # noqa: TC001
from labkit.spec.text import Text  # noqa: TC001
from labkit.traffic.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.spec.model import ClusterSpec

_flow_values = attrgetter(*written_fields(FlowRecord))


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is measured. `manifests` are whole texts, so that no file has to be there when it runs.

    `service` may be "" where the cluster has one Service port. `shaping` is by pod (`namespace/name`), client
    or node: netem on what leaves it. `events` happen to its pods while the workload is sent. Service times
    and weights that `workload` does not name are those of the pods' annotations.
    """

    manifests: tuple[Text, ...]
    mode: str = "ipvs"
    scheduler: str = "rr"
    service: str = ""
    workload: Workload = field(default_factory=Workload)
    shaping: Mapping[str, Shaping] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    seed: int = 1
    clock: Clock = "virtual"
    events: tuple[Event, ...] = ()

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
class Performance:
    """What the process in the guest is asked: an experiment, and the cluster that its manifests describe."""

    experiment: Experiment
    cluster: ClusterSpec

    def to_bytes(self) -> bytes:
        """Return it as it goes to the guest."""
        buffer = BytesIO()
        _Pickler(buffer).dump(self)
        return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """Knows read-only mappings, too."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, MappingProxyType):
            return _read_only, (dict(value),)
        return NotImplemented


def _read_only(values: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(values)


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of an experiment: its run with every flow, and the Linux that it ran on."""

    run: RunResult
    guest: GuestFacts
    iptables_backend: Literal["legacy", "nft"]


def perform(experiment: Experiment, cluster: ClusterSpec) -> Measured:
    """Run an experiment in the guest that this process runs in: build the lab, measure, take it down."""
    from labkit.guest.info import current
    from labkit.lab import Lab

    with Lab.open_cluster(cluster, mode=experiment.mode, scheduler=experiment.scheduler) as lab:
        guest = current()
        if guest is None or guest.clock != experiment.clock:
            raise GuestError(f"this Linux' time is not {experiment.clock}", todo="use run(experiment)")
        if experiment.workload.weights:
            lab.switch(experiment.mode, experiment.scheduler, experiment.workload.weights)
        for name, shaping in experiment.shaping.items():
            lab.shape(name, shaping)
        workload = {part.name: getattr(experiment.workload, part.name) for part in fields(Workload)}
        with lab.happening(*experiment.events):
            measured = lab.measure(experiment.service, seed=experiment.seed, **workload)
        facts = GuestFacts(guest.kind, guest.release, guest.cpus)
        return Measured(measured, facts, lab.iptables_backend)


def to_reply(measured: Measured) -> bytes:
    """Return what came of an experiment as it goes to who asked for it."""
    flows = [_flow_values(flow) for flow in measured.run.flows]  # results.json leaves them out
    return json.dumps({"measured": encode(measured), "flows": flows}).encode()


def read_reply(reply: bytes, name: str) -> Measured | LabError:
    """Return what `to_reply` wrote, or the error that stands there instead, with the experiment's name."""
    try:
        document = json.loads(reply)
    except ValueError:
        return GuestError(
            f"{name}: what it replied is not whole", where=repr(reply[:80]), todo="run it again"
        )
    if "measured" not in document:
        failure = decode_error(reply)
        failure.message = f"{name}: {failure.message}"
        return failure
    measured: Measured = decode(Measured, document["measured"], name)
    flows = tuple(FlowRecord(*values) for values in document["flows"])
    return replace(measured, run=replace(measured.run, flows=flows))


def main() -> None:
    """Perform the experiment in standard input; what came of it, or the error, goes to standard output."""
    try:
        asked: Performance = pickle.load(sys.stdin.buffer)  # noqa: S301 - the launcher's, and this is its guest
        reply = to_reply(perform(asked.experiment, asked.cluster))
    except LabError as error:
        reply = encode_error(error)
    sys.stdout.buffer.write(reply)
