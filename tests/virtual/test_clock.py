"""`labkit exec --virtual-time`: hours pass in no time, exactly, and what never ends is ended."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEADLINE_S = 100
TOLERANCE_US = 50
DAY_S = 86_400


def labkit_exec(*command, options=(), given=b""):
    return subprocess.run(
        [sys.executable, "-m", "labkit", "exec", "--virtual-time", *options, "--", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=given,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )


def python(script, **others):
    done = labkit_exec(sys.executable, "-c", script, **others)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_day_s_sleep_passes_on_the_guest_s_clock():
    slept_s = python(f"import time; t = time.monotonic(); time.sleep({DAY_S}); print(time.monotonic() - t)")
    assert DAY_S <= slept_s < DAY_S + TOLERANCE_US / 1e6


@pytest.mark.parametrize(
    ("wait", "slack"),
    [
        ("time.sleep(s)", 0.0),
        ("threading.Event().wait(s)", 0.0),
        ("select.select([], [], [], s)", 0.001),  # Linux lets a select or poll be late by a thousandth
    ],
)
def test_sleeps_are_exact(wait, slack):
    script = f"""
import json, select, threading, time
late = []
for s in (0.0001, 0.001, 0.005, 0.0123, 0.04, 1.0, 7.5) * 3:
    t = time.monotonic_ns()
    {wait}
    late.append((time.monotonic_ns() - t) / 1000 - s * 1e6 * (1 + {slack}))
print(json.dumps(late))
"""
    assert max(python(script)) <= TOLERANCE_US


def test_computing_takes_no_time():
    assert python("""
import hashlib, time
t = time.monotonic_ns()
hashlib.sha256(bytes(50_000_000)).digest()
print((time.monotonic_ns() - t) / 1000)
""") < TOLERANCE_US  # fmt: skip


def test_a_loop_that_polls_the_clock_comes_to_its_end():
    assert python("import time; t = time.monotonic()\nwhile time.monotonic() - t < 0.05: pass\nprint(1)") == 1


def test_everything_else_is_as_ever():
    done = labkit_exec("sh", "-c", "cat; echo err >&2; exit 7", given=b"given" * 2_000)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given" * 2_000, b"err\n")


def test_input_wakes_a_guest_that_waits_for_it():
    with subprocess.Popen(
        [sys.executable, "-m", "labkit", "exec", "--virtual-time", "--", "cat"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as running:
        for line in (b"one\n", b"two\n", b"three\n"):
            running.stdin.write(line)
            running.stdin.flush()
            assert running.stdout.readline() == line
        running.stdin.close()
        assert running.wait(DEADLINE_S) == 0


def test_the_guest_says_which_clock_it_has():
    assert python("from labkit.guest.info import current; print(f'\"{current().clock}\"')") == "virtual"


def test_what_waits_for_ever_is_ended_by_the_guest_s_clock():
    done = labkit_exec("sh", "-c", "while :; do sleep 3600; done", options=("--guest-time-limit", "1000000"))
    assert done.returncode == 125
    assert "did not end within 1,000,000 seconds of its own time" in done.stderr.decode()


def test_what_computes_for_ever_is_ended_by_the_wall_s_clock():
    done = labkit_exec("sh", "-c", "while :; do :; done", options=("--wall-time-limit", "2"))
    assert done.returncode == 125
    assert "did not end within 2 seconds of wall time" in done.stderr.decode()
    assert "where: this machine's clock" in done.stderr.decode()
