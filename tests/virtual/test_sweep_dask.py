"""A sweep on the workers of a Dask scheduler: the same rows as here."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(320)]
GRID = """\
labs: unequal
algorithms: [rr, lc]
workloads: {short: {connections: 30, arrivals: poisson, rate_per_s: 60}}
"""
# A scheduler and a worker of Dask in one process, until its standard input ends.
DASK = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None,
                      protocol="tcp", host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def sweep(folder, name, *more):
    command = [sys.executable, "-m", "labkit", "sweep", str(folder / "grid.yaml")]
    done = subprocess.run(
        [*command, "--output", str(folder / name), *more],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, (folder / name / "rows.jsonl").read_text().splitlines())
    return {row["cell"]: (row["run"]["answers"], row["run"]["answered"]) for row in rows}


def test_dask_s_workers_do_the_same(tmp_path):
    (tmp_path / "grid.yaml").write_text(GRID)
    with subprocess.Popen(
        [sys.executable, "-c", DASK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as cluster:
        address = cluster.stdout.readline().strip()
        there = sweep(tmp_path, "there", "--scheduler", address)
        cluster.stdin.close()
    assert there == sweep(tmp_path, "here")
