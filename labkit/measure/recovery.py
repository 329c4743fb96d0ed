"""What a retrying client saw while pods died and came back: errors, retries, time to recover."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.traffic.retrying import Call  # noqa: TC001  the JSON is made from the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class Recovery:
    """Calls of one client to one Service port (`namespace/name:port`), in their order."""

    service: str
    mode: str
    algorithm: str
    calls: tuple[Call, ...]

    @property
    def failed(self) -> int:
        """How many calls no attempt of theirs was answered for."""
        return sum(not call.is_answered for call in self.calls)

    @property
    def retries(self) -> int:
        """How many attempts were second or later ones."""
        return sum(len(call.attempts) - 1 for call in self.calls)

    @property
    def errors(self) -> Mapping[str, int]:
        """How many attempts ended in which error."""
        return Counter(
            attempt.error for call in self.calls for attempt in call.attempts if attempt.error is not None
        )

    @property
    def answers(self) -> Mapping[str, int]:
        """How many calls each pod answered."""
        return Counter(call.attempts[-1].pod or "" for call in self.calls if call.is_answered)

    @property
    def slowest_s(self) -> float:
        """How long the slowest call took, its retries included."""
        return max((sum(attempt.took_s for attempt in call.attempts) for call in self.calls), default=0.0)

    @property
    def trouble_s(self) -> tuple[float, float] | None:
        """When the first and when the last call with an error began; None where there was none."""
        troubled = [call.at_s for call in self.calls if call.attempts[0].error is not None]
        return (troubled[0], troubled[-1]) if troubled else None

    def __repr__(self) -> str:  # what a notebook shows of it
        return str(self)

    def __str__(self) -> str:
        errors = ", ".join(f"{count} {error}" for error, count in self.errors.items()) or "no error"
        when = (
            f", in calls of second {self.trouble_s[0]:.0f} to {self.trouble_s[1]:.0f}"
            if self.trouble_s
            else ""
        )
        return (
            f"{self.service}, {self.mode} ({self.algorithm}): {len(self.calls)} calls, {self.failed} failed, "
            f"{self.retries} retries ({errors}{when}); the slowest took {self.slowest_s:.1f} s"
        )
