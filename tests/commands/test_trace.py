"""`labkit trace`, from end to end: what it prints, what it writes, and with which Linux."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.measure.journey.form import from_json

PACKAGED = Path("/usr/bin/linux.uml")


def trace(*words):
    argv = [sys.executable, "-m", "labkit", "trace", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_connection_is_printed_and_written(tmp_path):
    written, packets = tmp_path / "journey.json", tmp_path / "journey.pcapng"
    done = trace("web", "--mode", "ipvs", "--to", "web", "--json", written, "--pcapng", packets)
    assert done.returncode == 0, done.stderr
    journey = from_json(written.read_text())
    assert done.stdout == f"{journey.text()}\n"
    assert "IPVS chooses" in done.stdout
    assert packets.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("web", "--from", "nobody"), "no network namespace 'nobody'"),
        (("web", "--mode", "userspace"), "no mode 'userspace'"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_block(words, said):
    done = trace(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not PACKAGED.exists(), reason="Debian's user-mode-linux is not here")
def test_the_packaged_linux_shows_what_it_can_and_says_what_is_missing():
    done = trace("web", "--guest", PACKAGED, "--from", "outside", "--to", "node-1:30080")
    assert done.returncode == 0, done.stderr
    for said in ("DNAT, as the rule says", "MASQUERADE", "SNAT undone", "answered outside"):
        assert said in done.stdout
    assert done.stdout.count("missing: ") == 2
