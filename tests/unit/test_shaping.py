from __future__ import annotations

import pytest

from labkit.errors import RequestError
from labkit.fabric.shaping import Shaping


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"delay_ms": -1}, "delay_ms=-1"),
        ({"delay_ms": float("nan")}, "delay_ms=nan"),
        ({"rate_mbit": float("inf")}, "rate_mbit=inf"),
        ({"loss_percent": 101}, "loss_percent=101"),
        ({"delay_ms": 3, "jitter_ms": 4}, "jitter_ms=4 around delay_ms=3"),
    ],
)
def test_impossible_shaping_is_refused_before_anything_is_touched(values, words):
    with pytest.raises(RequestError) as caught:
        Shaping(**values)
    assert words in caught.value.message
    assert caught.value.todo
