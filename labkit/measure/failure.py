"""What `failure` measured: a client's calls while a pod is dead, and how long the trouble lasted.

Its JSON Schema is published as failure.schema.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit import __version__
from labkit.measure.records import GuestFacts  # noqa: TC001
from labkit.measure.recovery import Recovery  # noqa: TC001  schema.py reads the annotations at run time
from labkit.measure.rowfile import ExperimentResult
from labkit.proxy.printing import KUBE_PROXY
from labkit.spec.events import Death  # noqa: TC001
from labkit.spec.text import Text  # noqa: TC001
from labkit.traffic.retrying import CallPlan  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class FailurePlan:
    """What was asked: `pod` dies at `dies_s` and its endpoints are removed at `removed_s` (None: never)."""

    manifests: tuple[Text, ...]
    algorithms: tuple[str, ...]
    deaths: tuple[Death, ...]
    calls: CallPlan
    pod: str
    dies_s: float
    removed_s: float | None
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One algorithm and one way to die: every call of the client."""

    mode: str
    algorithm: str
    death: Death
    recovery: Recovery
    guest: GuestFacts
    load_1m: float

    @property
    def name(self) -> str:
        """The algorithm as charts call it: "ipvs rr"."""
        return f"{self.mode} {self.algorithm}"

    def failed_s(self, since_s: float) -> float:
        """Return how long after `since_s` the last call began that failed for good; 0.0: none after it."""
        failed = [call.at_s for call in self.recovery.calls if not call.is_answered and call.at_s >= since_s]
        return max(failed) - since_s if failed else 0.0

    def troubled_s(self, since_s: float) -> float:
        """Return how long after `since_s` the last call began that met an error, retried or not."""
        met = [
            call.at_s
            for call in self.recovery.calls
            if call.attempts[0].error is not None and call.at_s >= since_s
        ]
        return max(met) - since_s if met else 0.0

    @property
    def errors(self) -> Mapping[str, int]:
        """How many attempts ended in which error."""
        return self.recovery.errors


class FailureResult(ExperimentResult[FailurePlan, FailureRow]):
    """A row for each algorithm and way to die."""

    name: ClassVar[str] = "failure"
    plan_kind: ClassVar[type[FailurePlan]] = FailurePlan
    row_kind: ClassVar[type[FailureRow]] = FailureRow
