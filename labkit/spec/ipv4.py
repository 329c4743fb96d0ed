"""What an IPv4 address looks like in a manifest."""

from __future__ import annotations

import re

_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


def is_ipv4(text: str) -> bool:
    """Tell whether `text` is an IPv4 address in dotted form, without leading zeros."""
    return _IPV4.fullmatch(text) is not None
