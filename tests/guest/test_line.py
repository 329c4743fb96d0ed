"""The serial line of the shipped guest, whose driver labkit.patch mends."""

from __future__ import annotations

import subprocess
import sys

from guest.launches import DEADLINE_S

WITHOUT_THE_LINE_S_WINDOW = """
import sys
import labkit.guest.line
from labkit.guest.rerun import run_inside
labkit.guest.line.LINE_WINDOW = 2**30
run_inside(tuple(sys.argv[1:]), "shipped", 512)
"""


def test_input_that_fills_the_serial_port_s_buffer_goes_on(runtime):
    """The tty holds 4,096 bytes: a port that is throttled and never woken stalls in the first 128 KiB."""
    given = bytes(range(256)) * 4000
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_LINE_S_WINDOW, "cat"],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime)},
        input=given,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, given), done.stderr
