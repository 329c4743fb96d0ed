"""Clab files: what is written is read back, variables are replaced, steps keep every wait."""

from __future__ import annotations

from itertools import pairwise

import yaml
from hypothesis import given
from hypothesis import strategies as st
from topologies import AWKWARD, topologies

from labkit.spec.clab import read_clab, substitute
from labkit.spec.clabstages import STEPS, Step, all_waits, plan_steps
from labkit.spec.clabwriting import write_clab
from labkit.spec.text import Text
from labkit.spec.topology import STAGES, TopologyNode, Wait


@given(topologies())
def test_what_is_written_is_read_back_and_written_alike(topology):
    text = write_clab(topology)
    read = read_clab(Text("x.clab.yml", text), {})
    assert read == topology
    assert write_clab(read) == text


@given(topologies())
def test_what_is_written_is_yaml_for_everybody(topology):
    document = yaml.safe_load(write_clab(topology))
    assert set(document["topology"]["nodes"]) == {node.name for node in topology.nodes}


@given(st.text(AWKWARD), st.dictionaries(st.sampled_from(["A", "aZ", "Z09"]), st.text("x$", max_size=3)))
def test_a_doubled_dollar_sign_is_never_a_variable(text, environment):
    assert substitute(text.replace("$", "$$"), environment) == text


@given(topologies())
def test_every_step_is_taken_once_in_its_nodes_order_and_after_what_it_waits_for(topology):
    steps, stuck = plan_steps(topology.nodes)
    assert stuck == ()
    for node in topology.nodes:
        assert [step.name for step in steps if step.node == node.name] == list(STEPS)
        for wait in all_waits(node):
            assert steps.index(Step(wait.node, wait.until)) < steps.index(Step(node.name, wait.stage))


_waits = st.builds(Wait, st.sampled_from(STAGES[:4]), st.sampled_from("abc"), st.sampled_from(STAGES[:4]))


@given(st.lists(st.lists(_waits, max_size=2), min_size=3, max_size=3))
def test_nodes_are_stuck_exactly_where_their_waits_stand_in_circles(waits):
    nodes = [TopologyNode(name, "linux", waits=tuple(of)) for name, of in zip("abc", waits, strict=True)]
    steps, stuck = plan_steps(nodes)
    assert (len(steps) == 3 * len(STEPS)) == (not stuck) == (not _has_circle(nodes))


def _has_circle(nodes: list[TopologyNode]) -> bool:
    """Take away steps that nobody needs any more, until there is none: what is left stands in circles."""
    needs = {Step(node.name, name): set() for node in nodes for name in STEPS}
    for node in nodes:
        for before, after in pairwise(STEPS):
            needs[Step(node.name, after)].add(Step(node.name, before))
        for wait in node.waits:
            needs[Step(node.name, wait.stage)].add(Step(wait.node, wait.until))
    while True:
        needed = set().union(*needs.values()) if needs else set()
        free = [step for step in needs if step not in needed]
        if not free:
            return bool(needs)
        for step in free:
            del needs[step]
