"""Chance in the guest: what iptables' random choice draws from."""

import sys

RANDOM_BYTES = "import os; print(os.getrandom(16).hex())"


def test_two_guests_do_not_draw_the_same_numbers(labkit_exec):
    drawn = set()
    for _ in range(2):
        status, out, _ = labkit_exec(sys.executable, "-c", RANDOM_BYTES)
        assert status == 0
        drawn.add(out)
    assert len(drawn) == 2
