"""Events: what happens to a pod while traffic flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Death = Literal["refuses", "unreachable"]
EndpointState = Literal["ready", "not-ready", "terminating", "removed"]
Happening = Literal["refuses", "unreachable", "revived", "ready", "not-ready", "terminating", "removed"]


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a pod, `at_s` seconds after the start.

    `refuses` and `unreachable` are the two ways to die, `revived` is the way back; the others are states of
    its endpoints.
    """

    at_s: float
    pod: str
    happening: Happening
