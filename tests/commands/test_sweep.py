"""`labkit sweep` from the host, in real guests: killed and gone on with, and its errors."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from processes import descendants, wait_for_end

from labkit import sweeping
from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux

SCHEMA = json.loads(Path(sweeping.__file__).with_name("sweep.schema.json").read_text())
DEADLINE_S = 300
SMALL = """\
labs: unequal
algorithms: [iptables, rr, lc]
workloads: {short: {connections: 30, arrivals: poisson, rate_per_s: 60}}
"""

pytestmark = pytest.mark.timeout(DEADLINE_S + 20)


@pytest.fixture(scope="module", autouse=True)
def _a_guest_with_virtual_time():
    try:
        choose_linux(clock="virtual")
    except CapabilityError as error:
        pytest.skip(str(error))


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(SMALL)
    return path


def command(grid, *more):
    return [sys.executable, "-m", "labkit", "sweep", str(grid), "--output", str(grid.parent / "out"), *more]


def sweep(grid, *more):
    return subprocess.run(
        command(grid, *more), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def lines(grid):
    return (grid.parent / "out/rows.jsonl").read_text().splitlines()


def test_killed_after_its_first_row_it_goes_on_with_the_others_and_leaves_no_process(grid):
    with subprocess.Popen(
        command(grid, "--workers", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        for line in running.stderr:
            if line.startswith("[1/3]"):
                break
        below = descendants(running.pid)
        os.kill(running.pid, signal.SIGKILL)
        running.stderr.read()
    wait_for_end(below)
    kept = lines(grid)
    assert kept
    done = sweep(grid)
    assert done.returncode == 0, done.stderr
    assert f"[{len(kept)}/3] {len(kept)} done before" in done.stderr
    rows = lines(grid)
    assert rows[: len(kept)] == kept
    assert len({json.loads(row)["cell"] for row in rows}) == len(rows) == 3
    for row in rows:
        jsonschema.validate(json.loads(row), SCHEMA)
    assert "ipvs lc" in done.stdout
    assert (grid.parent / "out/rows.parquet").exists()


def test_interrupted_it_says_how_far_it_came(grid):
    with subprocess.Popen(
        command(grid, "--workers", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        running.stderr.readline()
        below = descendants(running.pid)
        os.kill(running.pid, signal.SIGINT)
        said = running.stderr.read()
    wait_for_end(below)
    assert running.returncode == 130
    assert "of 3 are done; the same command does the others" in said
    assert "Traceback" not in said


def test_an_outage_happens_while_the_workload_is_sent(grid):
    grid.write_text(SMALL.replace("iptables, rr, lc", "rr") + "outages: {none: [], early: [EVENT]}\n")
    event = "{at_s: 0, pod: fast-1, happening: refuses}, {at_s: 0.1, pod: slow-1, happening: removed}"
    grid.write_text(grid.read_text().replace("EVENT", event))
    done = sweep(grid)
    assert done.returncode == 0, done.stderr
    runs = {json.loads(row)["outage"]: json.loads(row)["run"] for row in lines(grid)}
    assert runs["none"]["answered"] == 30
    assert runs["early"]["errors"]["refused"] > 0
    assert runs["early"]["answers"]["default/slow-1"] < runs["none"]["answers"]["default/slow-1"]


def test_mistakes_are_told_with_their_places_before_anything_starts(grid):
    grid.write_text("labs: unequal\nalgorithms: [fastest]\nworkloads: {a: {connections: many}}\n")
    done = sweep(grid)
    assert done.returncode == 2
    assert "grid.yaml:2:14: algorithms[0]: no algorithm is called 'fastest'" in done.stderr
    assert "grid.yaml:3:30: workloads.a.connections must be a whole number" in done.stderr
    assert not (grid.parent / "out").exists()
