"""Whole experiments, small: what must hold whatever chance does."""

import pytest

from labkit.chart.algorithms import show_algorithms
from labkit.chart.consistency import show_consistency
from labkit.chart.failure import show_failure
from labkit.experiments.algorithms import compare_algorithms
from labkit.experiments.consistency import consistency
from labkit.experiments.failure import failure
from labkit.traffic.retrying import CallPlan
from labkit.traffic.workload import Workload


def written_and_read(result, folder):
    path = folder / "result.jsonl"
    result.write(path)
    return type(result).read(path)


@pytest.fixture(scope="module")
def moved():
    result = consistency(("sh", "mh"), pods=4, services=8, flows=64)
    assert not result.failures
    return {row.algorithm: row for row in result.rows}, result


def test_a_hash_moves_on_the_kernel_just_the_flows_that_its_twin_moves(moved, tmp_path):
    rows, result = moved
    for row in rows.values():
        assert row.moved == row.twin_moved
        assert row.lost == 0
    assert rows["mh"].moved - rows["mh"].on_left < rows["sh"].moved - rows["sh"].on_left
    assert rows["sh"].unanswered == rows["sh"].on_left  # sh refuses those whose pod drains
    assert written_and_read(result, tmp_path) == result
    assert len(show_consistency(result).table.rows) == 2


def test_with_round_robin_one_retry_is_always_enough(tmp_path):
    calls = CallPlan(calls=30, retries=1)
    result = failure(algorithms=("rr",), deaths=("refuses",), calls=calls, dies_s=2.5, removed_s=20.5)
    (row,) = result.rows
    assert (row.recovery.failed, row.recovery.retries) == (0, dict(row.errors)["refused"])
    # Calls 3 to 20 meet it with every third attempt. With its retry that is every second call.
    assert row.recovery.retries in {8, 9}
    assert row.troubled_s(20.5) == 0
    assert written_and_read(result, tmp_path) == result
    assert "no call fails with ipvs rr (refuses)" in show_failure(result).alt


def test_bursts_and_long_connections_make_queues_and_sed_avoids_the_slow_pod(tmp_path):
    base = {"connections": 120, "arrivals": "poisson", "rate_per_s": 30.0, "clients": 64, "timeout_s": 3600.0}
    traffic = {"steady": Workload(**base), "bursts": Workload(**base, burst=10)}
    result = compare_algorithms(names=("sed",), traffic=traffic)
    steady, bursts = (row.run.latency_us["response"]["p95"].value for row in result.rows)
    assert steady < bursts
    assert result.rows[0].run.answers["default/slow-1"] < 10
    assert written_and_read(result, tmp_path) == result
    assert len(show_algorithms(result).table.rows) == 2
