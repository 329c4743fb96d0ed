"""Short connections: what a node remembers of each, in every mode, and reused ports."""

from __future__ import annotations

import pytest

from labkit.experiments.shortconnections import ShortConnectionsCell, measure_cell
from labkit.proxy.program import available_modes


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_a_connection_leaves_one_entry_behind_and_in_ipvs_mode_two(mode, nothing_left):
    if mode not in available_modes():
        pytest.skip(f"this guest has no {mode}")
    row = measure_cell(ShortConnectionsCell(mode, connections=40, reused=16, seed=1))
    assert row.errors == 0
    assert row.entries_each() == (1.0, 1.0 if mode == "ipvs" else 0.0)
    assert row.held[-1].conntrack < row.conntrack_max
    assert row.reuse.answered == row.reuse.flows == 16
