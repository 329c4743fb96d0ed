"""What `consistency` measured: of many flows, how many are on another pod after one pod has left.

Its JSON Schema is published as consistency.schema.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from labkit import __version__
from labkit.measure.records import GuestFacts  # noqa: TC001  schema.py reads the annotations at run time
from labkit.measure.rowfile import ExperimentResult
from labkit.proxy.printing import KUBE_PROXY


@dataclass(frozen=True, slots=True)
class ConsistencyPlan:
    """What was asked: so many flows, each from an address and a port of its own, to Services in turn."""

    algorithms: tuple[str, ...]
    pods: int
    services: int
    flows: int
    seed: int
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class ConsistencyRow:
    """One algorithm. Counts are flows of all `flows`.

    `on_left` were on the pod that left and had to move. `unanswered` were refused, or got no answer, at once
    after its endpoints had been removed, while IPVS still drained its connections. `moved` are on another pod
    when these had been forgotten, those of `on_left` included; `lost` got no answer even then. `twin_moved`
    is how many of the very same flows the kernel's algorithm in plain Python (labkit.algorithms) moves, None
    where chance or counters decide. `expected_share` is theory's, of all flows.
    """

    mode: str
    algorithm: str
    flows: int
    on_left: int
    unanswered: int
    moved: int
    lost: int
    twin_moved: int | None
    expected_share: float
    guest: GuestFacts
    load_1m: float

    @property
    def name(self) -> str:
        """The algorithm as charts call it: "ipvs sh"."""
        return f"{self.mode} {self.algorithm}"


class ConsistencyResult(ExperimentResult[ConsistencyPlan, ConsistencyRow]):
    """A row for each algorithm."""

    name: ClassVar[str] = "consistency"
    plan_kind: ClassVar[type[ConsistencyPlan]] = ConsistencyPlan
    row_kind: ClassVar[type[ConsistencyRow]] = ConsistencyRow


def expected_moved_share(algorithm: str, pods: int) -> float:
    """Return theory's part of all flows that move when one of `pods` pods leaves.

    1/n have to. Consistent hashing moves just those (mh is nearly so: Eisenbud et al., NSDI 2016, 3.4). Who
    chooses anew without regard to before, by lot or in turn, keeps a flow with 1/n: of n(n-1) equally likely
    pairs of choices before and after, n - 1 agree. So does a table dealt out in turn (sh, dh): place i
    belongs to i mod n before and to i mod (n-1) after, and by the Chinese remainder theorem each pair of the
    two comes equally often.
    """
    return 1 / pods if algorithm == "mh" else 1 - 1 / pods
