"""Grid -> cells: every experiment of a sweep, each with an identity that its content alone decides. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError
from labkit.fabric.shaping import Shaping
from labkit.measure.schema import encode
from labkit.measure.targets import find_service_target
from labkit.performing import Experiment
from labkit.spec.cluster import read_cluster
from labkit.spec.documents import Findings
from labkit.spec.events import Event
from labkit.spec.grid import UNNAMED, Grid, GridKinds, read_grid
from labkit.traffic.workload import ANY_POD, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from labkit.spec.model import ClusterSpec
    from labkit.spec.text import Text

GRID_KINDS = GridKinds(Workload, Shaping, Event)
IDENTITY_LETTERS = 16


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One experiment of a sweep, and the names of its values in the grid.

    `identity` is a hash of the experiment: the same in every grid that has it, another one as soon as a
    manifest, a workload or anything else of it changes.
    """

    lab: str
    workload: str
    shaping: str
    outage: str
    experiment: Experiment = field(repr=False)
    identity: str

    def __str__(self) -> str:
        parts = (str(self.experiment), self.lab, self.workload, self.shaping, self.outage)
        return f"{', '.join(part for part in parts if part != UNNAMED)}, seed {self.experiment.seed}"


def load_grid(source: Path | Text) -> Grid:
    """Return a grid whose names all exist. Raises SpecError with every mistake, each with its place."""
    grid = read_grid(source, GRID_KINDS)
    findings = Findings()
    _refuse_twins(grid, findings)
    for lab in grid.labs:
        _check_names(grid, read_cluster(lab.manifests), lab.name, findings)
    findings.raise_mistakes()
    return grid


def plan_sweep(grid: Grid) -> tuple[SweepCell, ...]:
    """Return the cells of a grid in its order: what is compared (the algorithms) stands together."""
    axes = (grid.labs, grid.workloads, grid.shapings, grid.outages, grid.seeds, grid.algorithms)
    cells = []
    for lab, workload, shaping, outage, seed, algorithm in product(*axes):
        experiment = Experiment(
            manifests=lab.manifests,
            mode=algorithm.mode,
            scheduler=algorithm.scheduler,
            service=grid.service,
            workload=grid.workloads[workload],
            shaping=grid.shapings[shaping],
            seed=seed,
            clock=grid.clock,
            events=grid.outages[outage],
        )
        cells.append(SweepCell(lab.name, workload, shaping, outage, experiment, identify(experiment)))
    return tuple(cells)


def identify(experiment: Experiment) -> str:
    """Return what tells an experiment from every other: a hash of all that is in it."""
    text = json.dumps(encode(experiment), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:IDENTITY_LETTERS]


def _refuse_twins(grid: Grid, findings: Findings) -> None:
    """Two names for one value would be one experiment twice."""
    axes: Mapping[str, Mapping[str, Any]] = {
        "workloads": grid.workloads,
        "shapings": grid.shapings,
        "outages": grid.outages,
    }
    for axis, values in axes.items():
        seen: dict[str, str] = {}
        for name, value in values.items():
            text = json.dumps(encode(value), sort_keys=True)
            if text in seen:
                place = grid.place(axis, name)
                findings.mistake(place, f"{axis}.{name} is the same as {axis}.{seen[text]}", "change one")
            seen.setdefault(text, name)


def _check_names(grid: Grid, cluster: ClusterSpec, lab: str, findings: Findings) -> None:
    try:
        find_service_target(cluster, grid.service)
    except LabError as error:
        findings.mistake(grid.place("service"), f"{error.message} (in {lab})", error.todo)
    keys = {pod.key for pod in cluster.pods}
    short = {key.removeprefix("default/") for key in keys}
    for path, name in _named_pods(grid):
        if name not in (keys if path[0] == "workloads" else keys | short):
            todo = f"there are: {', '.join(sorted(keys))}"
            findings.mistake(grid.place(*path), f"{lab} has no pod {name!r}", todo)
    others = {node.name for node in cluster.nodes} | {"client", "outside", "balancer"}
    for name, shapings in grid.shapings.items():
        for who in shapings:
            if who not in keys | short | others:
                todo = f"there are: {', '.join(sorted(keys | others))}"
                findings.mistake(
                    grid.place("shapings", name, who), f"{lab} has no pod, node or client {who!r}", todo
                )


def _named_pods(grid: Grid) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, workload in grid.workloads.items():
        for pod in workload.service_ms:
            if pod != ANY_POD:
                yield ("workloads", name, "service_ms", pod), pod
        for pod in workload.weights:
            yield ("workloads", name, "weights", pod), pod
    for name, events in grid.outages.items():
        for at, event in enumerate(events):
            yield ("outages", name, at, "pod"), event.pod
