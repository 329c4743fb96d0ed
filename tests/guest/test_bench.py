"""Benchmarks that are measured in a guest, and the command that runs them."""

import json
import subprocess
import sys
from pathlib import Path

import bench_sample
import pytest
from jsonschema import Draft202012Validator

from labkit.bench.rounds import Samples
from labkit.bench.row import bench_schema
from labkit.bench.run import measure
from labkit.errors import GuestError

DEADLINE_S = 100


@pytest.fixture
def sample_group(some_linux, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(bench_sample.__file__).parent))
    return {one.name: one for one in bench_sample.BENCHMARKS}


def test_all_rounds_are_measured_in_one_guest_and_come_back(sample_group):
    seen = []
    samples = measure(sample_group["inside"], lambda *step: seen.append(step))
    assert samples == Samples(
        (2, 3, 4), (1, 1, 1), {"ip": (8, 8, 8)}, {"mininet": "mininet is not installed"}
    )
    assert seen[:4] == [(0, "ours"), (0, "limit"), (0, "mininet"), (0, "ip")]
    assert {number for number, _ in seen} == {0, 1, 2, 3}


def test_an_error_in_the_guest_is_raised_outside(sample_group):
    with pytest.raises(GuestError, match="the kernel refused it") as caught:
        measure(sample_group["trouble"], lambda *_: None)
    assert caught.value.where == "veth"


def bench(*arguments):
    command = (sys.executable, "-m", "labkit", "bench", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_the_command_writes_what_its_schema_says(some_linux):
    done = bench("boot", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    Draft202012Validator(bench_schema()).validate([row])
    assert row["name"] == "boot"
    assert min(row["ours"], row["limit"], row["of_limit"]) > 0


def test_a_name_that_is_none_is_refused_with_those_there_are():
    done = bench("nonsense")
    assert done.returncode == 2
    assert "no benchmark called 'nonsense'" in done.stderr
    assert "guest (exec, boot" in done.stderr
    assert "Traceback" not in done.stderr
