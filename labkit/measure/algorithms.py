"""What `compare_algorithms` measured: the same traffic, of several kinds, under one algorithm after another.

Its JSON Schema is published as algorithms.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass
from typing import ClassVar

from labkit import __version__
from labkit.measure.records import GuestFacts, RunResult  # noqa: TC001  see above
from labkit.measure.rowfile import ExperimentResult
from labkit.proxy.printing import KUBE_PROXY
from labkit.spec.text import Text  # noqa: TC001
from labkit.traffic.workload import Workload  # noqa: TC001


@dataclass(frozen=True, slots=True)
class AlgorithmsPlan:
    """What was asked: each kind of traffic, by its name, under each algorithm."""

    manifests: tuple[Text, ...]
    algorithms: tuple[str, ...]
    traffic: Mapping[str, Workload]
    seed: int
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class AlgorithmsRow:
    """One algorithm under one kind of traffic."""

    traffic: str
    run: RunResult
    guest: GuestFacts
    load_1m: float

    @property
    def name(self) -> str:
        """The algorithm as charts call it: "ipvs rr"."""
        return f"{self.run.mode} {self.run.algorithm}"


class AlgorithmsResult(ExperimentResult[AlgorithmsPlan, AlgorithmsRow]):
    """A row for each algorithm and kind of traffic."""

    name: ClassVar[str] = "algorithms"
    plan_kind: ClassVar[type[AlgorithmsPlan]] = AlgorithmsPlan
    row_kind: ClassVar[type[AlgorithmsRow]] = AlgorithmsRow
