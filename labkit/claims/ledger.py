"""The ledger: all claims measured in one run, judged, and compared with an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from labkit import __version__
from labkit.claims.claim import Judgement, judge_claim
from labkit.claims.figures import Figure, Figures
from labkit.claims.plan import plan_measurements
from labkit.claims.sentences import CLAIMS
from labkit.experiments.cells import measure_cells
from labkit.measure.records import GuestFacts  # noqa: TC001  schema.py reads the annotations at run time
from labkit.measure.rowfile import ExperimentResult
from labkit.proxy.printing import KUBE_PROXY

if TYPE_CHECKING:
    from labkit.claims.claim import Claim
    from labkit.experiments.cells import Progress

_MODULE = "labkit.claims.measuring"


@dataclass(frozen=True, slots=True)
class LedgerPlan:
    """What was asked, on which day (UTC)."""

    claims: tuple[int, ...]
    measured_on: str
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """What one measurement found, and where."""

    measurement: str
    figures: tuple[Figure, ...]
    guest: GuestFacts
    load_1m: float


class Ledger(ExperimentResult[LedgerPlan, MeasuredRow]):
    """A run of the ledger; the verdicts are not in its file: they are judged from its figures."""

    name: ClassVar[str] = "claims"
    plan_kind: ClassVar[type[LedgerPlan]] = LedgerPlan
    row_kind: ClassVar[type[MeasuredRow]] = MeasuredRow

    @property
    def figures(self) -> Figures:
        """All figures of the run."""
        return Figures(figure for row in self.rows for figure in row.figures)

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Every claim that was asked for, judged."""
        asked = [claim for claim in CLAIMS if claim.number in self.plan.claims]
        return tuple(judge_claim(claim, self.figures) for claim in asked)


def measure_ledger(
    claims: tuple[Claim, ...], measured_on: str, on_progress: Progress | None = None
) -> Ledger:
    """Measure what `claims` need, each measurement in a fresh guest.

    Those in real time come one after the other. `on_progress(done, total, what)`. An interrupt ends the
    guests and leaves nothing. What failed is in the ledger's `failures`; the first error is raised where
    nothing could be measured.
    """
    wanted = plan_measurements(frozenset(name for claim in claims for name in claim.measurements))
    rows: list[MeasuredRow] = []
    failures: list[str] = []
    for clock in ("real", "virtual"):
        cells = [one for one in wanted if one.clock == clock]
        if cells:
            measured, failed = measure_cells(
                cells,
                _MODULE,
                MeasuredRow,
                clock=clock,
                on_progress=_counted_on(len(rows) + len(failures), len(wanted), on_progress),
            )
            rows += measured
            failures += failed
    plan = LedgerPlan(tuple(claim.number for claim in claims), measured_on)
    return Ledger(plan, tuple(rows), tuple(failures))


def find_changes(before: Ledger, after: Ledger) -> tuple[str, ...]:
    """Return a line for each verdict, on a sentence or on a part of one, that two runs do not agree on."""
    former = {(one.claim.number, part.says): part.verdict for one in before.judgements for part in one.parts}
    found = []
    for one in after.judgements:
        for part in one.parts:
            verdict = former.get((one.claim.number, part.says))
            if verdict != part.verdict:
                found.append(
                    f"sentence {one.claim.number}, {part.says}: {verdict or 'not judged'} before, "
                    f"{part.verdict} now"
                )
    return tuple(found)


def _counted_on(done_before: int, total: int, on_progress: Progress | None) -> Progress | None:
    if on_progress is None:
        return None
    return lambda done, _, what: on_progress(done_before + done, total, what)
