"""The guest's monotonic clock, as programs read it by themselves and as its kernel tells it."""

from __future__ import annotations

import pytest

READ_BOTH_WAYS = """
import ctypes, sys, time

class Time(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]

libc = ctypes.CDLL(None, use_errno=True)
MONOTONIC, CLOCK_GETTIME, ADJ_FREQUENCY = 1, 228, 2

def told():
    at = Time()
    libc.syscall(CLOCK_GETTIME, MONOTONIC, ctypes.byref(at))
    return at.s * 10**9 + at.ns

def adjust(ppm):
    timex = (ctypes.c_long * 26)(ADJ_FREQUENCY, 0, ppm << 16)
    assert libc.adjtimex(timex) >= 0, ctypes.get_errno()
    time.sleep(0.1)  # ten ticks, of which the first sees it

for ppm in map(int, sys.argv[1:]):
    if ppm:
        adjust(ppm)
    for _ in range(2000):
        before, read, after = told(), time.monotonic_ns(), told()
        assert before <= read <= after, (ppm, before, read, after)
print("in order")
"""


@pytest.mark.parametrize("rates", [("0",), ("0", "500", "-500")], ids=["as it booted", "its rate adjusted"])
def test_the_clock_that_programs_read_is_the_kernel_s(labkit_exec, rates):
    status, out, err = labkit_exec("python3", "-c", READ_BOTH_WAYS, *rates)
    assert (status, out, err) == (0, b"in order\n", "")
