"""What a claim is: a sentence, what is measured for it, and a judge that knows nothing but the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.claims.figures import NotMeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labkit.claims.figures import Figure, Figures

Verdict = Literal["confirmed", "holds within limits", "contradicted", "cannot be decided here"]
CONFIRMED: Verdict = "confirmed"
LIMITED: Verdict = "holds within limits"
CONTRADICTED: Verdict = "contradicted"
UNDECIDED: Verdict = "cannot be decided here"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sentence that can be judged by itself: what it says, the verdict, why, by which figures."""

    says: str
    verdict: Verdict
    why: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of a vendor's page, in our words, and who judges it.

    `measurements` are the names (of `plan.MEASUREMENTS`) of what its judge needs; `lesson` is where a learner
    tests the same by hand.
    """

    number: int
    sentence: str
    lesson: str
    measurements: tuple[str, ...]
    judge: Callable[[Figures], Iterable[Part]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim with its parts judged."""

    claim: Claim
    parts: tuple[Part, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole sentence: see `overall`."""
        return overall(tuple(part.verdict for part in self.parts))


def overall(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict on a sentence from those on its parts.

    One part that is contradicted contradicts the sentence; where all are alike the sentence is as they are;
    any other mixture holds within limits.
    """
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return LIMITED


def judge_claim(claim: Claim, figures: Figures) -> Judgement:
    """Judge a claim. What was not measured makes it undecided, and says so."""
    try:
        return Judgement(claim, tuple(claim.judge(figures)))
    except NotMeasuredError as error:
        why = f"This run did not measure: {error}."
        return Judgement(claim, (Part("the whole sentence", UNDECIDED, why),))
