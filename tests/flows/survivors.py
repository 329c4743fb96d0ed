"""Mutants that no row can tell from the plan, each with the reason."""

from __future__ import annotations

import re

from labkit.proxy.plans import Mode

_NO_WAY = (
    "a pod of another node gets here only by ways on which its packets are marked already, or not at all"
)
SURVIVORS: tuple[tuple[str, str, str], ...] = ()


def reason_for(mode: Mode, mutant: str) -> str:
    """Return why a mutant survives, "" if nobody knows."""
    return next(
        (why for modes, pattern, why in SURVIVORS if mode in modes.split() and re.search(pattern, mutant)), ""
    )
