"""A node with many Services: programmed, changed and measured, in every mode."""

from __future__ import annotations

import pytest

from labkit.errors import BuildError
from labkit.experiments.programmed import ProgrammedNode
from labkit.experiments.scaling import ScalingCell, measure_cell, scaling_here
from labkit.lab import Lab
from labkit.measure.scaling import SCALING_MODES
from labkit.proxy.program import available_modes


@pytest.mark.parametrize("mode", SCALING_MODES)
def test_a_cell_has_every_first_packet_of_three_services(mode, nothing_left):
    if mode in {"nftables", "iptables-nft"} and "nftables" not in available_modes():
        pytest.skip("the packaged guest has no nf_tables")
    row = measure_cell(ScalingCell(mode, services=30, flows=20, endpoints=2, seed=1))
    assert row.lost == 0
    assert set(row.first_packet_us) == {"first", "middle", "last"}
    assert row.memory_mb.used < row.memory_mb.total


def test_the_last_service_answers_from_both_endpoints_after_one_went_and_came_back(nothing_left):
    with ProgrammedNode("ipvs", 5, 2) as node:
        node.program()
        run = node.measure("last", 20, seed=1)
    assert run.service == "default/s-5:80"
    assert dict(run.answers) == {"default/web-1": 10, "default/web-2": 10}


def test_small_clusters_are_measured_here_one_after_the_other_and_nothing_is_left(nothing_left):
    result = scaling_here((3, 1), ("iptables-legacy", "ipvs"), flows=20)
    assert [(row.services, row.mode) for row in result.rows] == [
        (1, "iptables-legacy"),
        (1, "ipvs"),
        (3, "iptables-legacy"),
        (3, "ipvs"),
    ]
    assert all(row.lost == 0 for row in result.rows)


def test_beside_an_open_lab_nothing_is_measured(nothing_left):
    with Lab.open("web"), pytest.raises(BuildError, match="already"):
        scaling_here((1,), ("ipvs",), flows=20)
