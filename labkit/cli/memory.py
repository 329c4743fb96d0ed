"""The --memory option: 512M, 1G."""

from __future__ import annotations

import re

from labkit.errors import RequestError

_SIZE = re.compile(r"(\d+)(M|G|)(i?B)?", re.IGNORECASE)


def parse_memory_mb(text: str) -> int:
    """Return a size such as `512M` or `1G` in MB (a bare number is MB); raise RequestError for other text."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise RequestError(
            f"{text!r} is no amount of memory", where="--memory", todo="write for example 512M or 1G"
        )
    return int(match[1]) * (1024 if match[2].upper() == "G" else 1)
