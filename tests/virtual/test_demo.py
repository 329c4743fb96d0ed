"""`labkit demo --virtual-time`: every algorithm with unequal pods, near saturation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import labkit.measure

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SCHEMAS = Path(labkit.measure.__file__).parent
CONNECTIONS = 600


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "demo", "--virtual-time", "--connections", str(CONNECTIONS),
         "--output", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "results.json").read_text())
    jsonschema.validate(report, json.loads((SCHEMAS / "results.schema.json").read_text()))
    return {run["algorithm"]: run for run in report["runs"]}, done.stdout, report


def p99_ms(run):
    return run["latency_us"]["response"]["p99"]["value"] / 1000


def test_every_run_is_of_the_virtual_clock_and_answers_everyone(demo):
    runs, _, report = demo
    assert {run["clock"] for run in runs.values()} == {"virtual"}
    assert all(run["answered"] == run["connections"] == CONNECTIONS for run in runs.values())
    assert report["workload"]["clients"] >= 64
    assert set(runs) >= {"random", "rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo", "ovf"}


def test_least_connection_is_ahead_of_round_robin(demo):
    runs, _, _ = demo
    for algorithm in ("lc", "wlc", "sed", "nq"):
        assert p99_ms(runs[algorithm]) < p99_ms(runs["rr"])


def test_what_is_offered_more_than_it_can_serve_is_marked(demo):
    runs, printed, report = demo
    service_ms = report["workload"]["service_ms"]
    for run in runs.values():
        loads = [count / CONNECTIONS * 60 * service_ms[pod] / 1000 for pod, count in run["answers"].items()]
        assert run["overloaded"] == (max(loads) >= 1)
    assert ("overloaded" in printed) == any(run["overloaded"] for run in runs.values())
