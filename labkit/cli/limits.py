"""How the command line says for how long something may run."""

from __future__ import annotations

import math

from labkit.errors import RequestError

LEAST_S = 1.0


def parse_limit_s(text: str, option: str) -> float:
    """Return the seconds in `text`; raise RequestError, which names the option, where they bound nothing."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not LEAST_S <= seconds < math.inf:
        raise RequestError(
            f"{text!r} is no limit of time", where=option, todo="give seconds, at least 1, such as 90"
        )
    return seconds
