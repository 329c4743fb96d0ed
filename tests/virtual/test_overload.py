"""What is offered more than it can serve is marked, everywhere, and spoils nobody else's chart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.experiment import Experiment, run
from labkit.traffic.workload import Workload

ROOT = Path(__file__).parents[2]
UNEQUAL = ROOT / "labkit/labs/unequal.yaml"
SLOW = "default/slow-1"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """60 connections a second to three pods of 20 ms: 0.4 of what each can do; dh sends all to one: 1.2."""
    folder = tmp_path_factory.mktemp("overload")
    manifest = folder / "equal.yaml"
    text = UNEQUAL.read_text()
    for service_ms in (5, 10, 40):
        text = text.replace(f'labkit.dev/service-ms: "{service_ms}"', 'labkit.dev/service-ms: "20"')
    manifest.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "demo", "--virtual-time", "--connections", "300",
         "--algorithms", "rr,dh", "--output", str(folder), str(manifest)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_an_algorithm_that_sends_all_to_one_pod_overloads_it(demo):
    folder, printed = demo
    runs = {run["algorithm"]: run for run in json.loads((folder / "results.json").read_text())["runs"]}
    assert {name: run["overloaded"] for name, run in runs.items()} == {"rr": False, "dh": True}
    assert sorted(runs["dh"]["answers"].values()) == [0, 0, 300]
    notes = {line.split()[1]: line.split()[-1] for line in printed.splitlines() if line.startswith("ipvs ")}
    assert notes["dh"] == "overloaded"
    assert notes["rr"] != "overloaded"


def test_the_report_lists_it_and_does_not_draw_it(demo):
    folder, _ = demo
    report = (folder / "report.html").read_text()
    assert "overloaded, so listed but not drawn: ipvs dh" in report


@pytest.mark.slow
def test_a_pod_that_nobody_waits_for_is_overloaded_too():
    """Under rr the slow pod gets 20 a second and can do 5; its clients are gone before it answers."""
    workload = Workload(connections=300, arrivals="poisson", rate_per_s=60.0, clients=64, timeout_s=0.15,
                        service_ms={SLOW: 200.0})  # fmt: skip
    result = run(Experiment.of("unequal", workload=workload))
    assert result.answers[SLOW] == 0
    assert result.errors["timeout"] == 100
    assert result.overloaded
