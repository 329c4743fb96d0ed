"""Waiting for the host takes no virtual time: neither for its input nor until it has taken the output."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEADLINE_S = 100
# What the clock may move on by being read, by the command and by the agent that carries its streams.
READINGS_S = 0.1
PAUSE_S = 0.3
MANY = 50_000_000

WRITER = f"""
import sys, time
begun = time.monotonic()
sys.stdout.buffer.write(bytes({MANY}))
sys.stdout.buffer.flush()
print(time.monotonic() - begun, file=sys.stderr)
"""
READER = """
import sys, time
for line in iter(sys.stdin.readline, ""):
    print(time.monotonic(), flush=True)
"""
SELECTOR = """
import os, select, time
while select.select([0], [], [])[0] and os.read(0, 100):
    print(time.monotonic(), flush=True)
"""
SLEEPER = """
import time
for _ in range(3):
    print(time.monotonic(), flush=True)
    time.sleep(3600)
"""
SLEEP_BESIDE_CAT = """
import subprocess, time
begun = time.monotonic()
sleeper = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
subprocess.run(["cat"], check=True)
sleeper.wait()
print(time.monotonic() - begun)
"""


def start(*command, options=(), **others):
    return subprocess.Popen(
        [sys.executable, "-m", "labkit", "exec", "--virtual-time", *options, "--", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others},
    )


def read_all(running, pause_s):
    total = 0
    while data := running.stdout.read1(2**20):
        assert not data.strip(b"\0")
        total += len(data)
        time.sleep(pause_s)
    return total


@pytest.mark.parametrize("pause_s", [0.0, 0.01], ids=["at once", "slowly"])
def test_much_output_arrives_whole_and_takes_no_time(pause_s):
    with start(sys.executable, "-c", WRITER) as running:
        assert read_all(running, pause_s) == MANY
        assert float(running.stderr.read()) < READINGS_S
        assert running.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("script", [READER, SELECTOR], ids=["read", "select"])
def test_input_that_comes_late_comes_at_once_by_the_guest_s_clock(script):
    with start(sys.executable, "-c", script, stdin=subprocess.PIPE) as running:
        stamps = []
        for _ in range(3):
            time.sleep(PAUSE_S)
            running.stdin.write(b"line\n")
            running.stdin.flush()
            stamps.append(float(running.stdout.readline()))
        running.stdin.close()
        assert running.wait(DEADLINE_S) == 0
    assert stamps[-1] - stamps[0] < READINGS_S


def test_a_terminal_s_input_holds_time_too():
    ours, theirs = pty.openpty()
    with start(sys.executable, "-c", READER, stdin=theirs) as running:
        stamps = []
        for _ in range(3):
            time.sleep(PAUSE_S)
            os.write(ours, b"line\n")
            stamps.append(float(running.stdout.readline()))
        os.write(ours, b"\x04")
        assert running.wait(DEADLINE_S) == 0
    os.close(ours)
    os.close(theirs)
    assert stamps[-1] - stamps[0] < READINGS_S


def test_input_that_nobody_reads_holds_nothing():
    with start(sys.executable, "-c", SLEEPER, stdin=subprocess.PIPE) as running:
        first, second, third = (float(running.stdout.readline()) for _ in range(3))
        running.stdin.close()
        assert running.wait(DEADLINE_S) == 0
    assert second - first == pytest.approx(3600, abs=READINGS_S)
    assert third - second == pytest.approx(3600, abs=READINGS_S)


def test_a_wait_for_the_host_ends_with_its_input():
    """Time stands still while `cat` reads, and goes on when it has its last."""
    with start(sys.executable, "-c", SLEEP_BESIDE_CAT, stdin=subprocess.PIPE) as running:
        time.sleep(PAUSE_S)
        running.stdin.close()
        assert float(running.stdout.read()) == pytest.approx(60, abs=READINGS_S)
