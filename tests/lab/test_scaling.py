"""A node with many Services: programmed, changed and measured, in every mode."""

from __future__ import annotations

import pytest

from labkit.experiments.programmed import ProgrammedNode
from labkit.experiments.scaling import ScalingCell, measure_cell
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
