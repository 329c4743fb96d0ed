"""A plan without one of its rules, elements or real servers contradicts the flow table: a sample.

`make mutants` tries every one, in virtual time.
"""

from __future__ import annotations

import pytest
from flows.live import Scene
from flows.mutants import mutants
from flows.round import Patience
from flows.survivors import survivor_for
from flows.trial import find_killer, program_mutant

from labkit.guest.probe import takes_nftables
from labkit.proxy.plans import MODES

SAMPLE = 4
PATIENCE = Patience(silence_s=0.3, answer_s=1.0)


def sample(mode, every):
    """Return mutants from all over the plan; not the sticky Service's, whose clients are remembered."""
    worth = [one for one in every if not survivor_for(mode, str(one)) and one.service not in {"", "sticky"}]
    return worth[:: len(worth) // SAMPLE][:SAMPLE]


@pytest.mark.parametrize("mode", MODES)
def test_a_plan_that_lacks_something_contradicts_the_table(mode):
    if mode == "nftables" and not takes_nftables():
        pytest.skip("nftables rows: this Linux has no nf_tables for IPv4")
    with Scene(mode, PATIENCE) as scene:
        scene.program()
        tried = sample(mode, mutants(scene.proxiers["node-1"].plan))
        assert len(tried) == SAMPLE
        for mutant in tried:
            program_mutant(scene, mutant)
            assert find_killer(scene, mutant), mutant
