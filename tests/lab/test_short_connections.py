"""Short connections: what a node remembers of each, in every mode, and reused ports."""

from __future__ import annotations

import pytest

from labkit.experiments.shortconnections import (
    ShortConnectionsCell,
    measure_cell,
    short_connections_here,
)
from labkit.lab import Lab
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


def test_two_modes_are_measured_here_and_a_lab_that_was_open_is_closed(nothing_left):
    Lab.open("web")
    result = short_connections_here(["iptables", "ipvs"], connections=20, reused=4)
    assert [(row.mode, row.entries_each()) for row in result.rows] == [
        ("iptables", (1.0, 0.0)),
        ("ipvs", (1.0, 1.0)),
    ]
