"""Whatever a journey's events are, its ladder can be drawn and loses nothing."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from journey_samples import CLIENT, POD, VIP, headers, journey

from labkit.chart.ladder import ladder_svg
from labkit.chart.ladder_steps import LEVELS, journey_lanes, journey_steps
from labkit.measure.journey.events import Event, Kind, Lane

BASE = journey("iptables")
LANES = (Lane("client", "client"), Lane("node-1", "node"), Lane("lan", "lan"), Lane("web-1", "pod"))
NAMESPACES = [*(lane.namespace for lane in LANES), "unheard of"]
HEADERS = st.sampled_from(
    [None, headers(CLIENT, VIP), headers(CLIENT, POD), headers(POD, CLIENT), headers(VIP, CLIENT)]
)
WORDS = (
    st.sampled_from(["", "eth0", "jump KUBE-SEP-X", "goto endpoint-X", "DNAT", "DNAT undone", "local", "new"])
    | st.text()
)
EVENTS = st.builds(
    replace,
    st.just(BASE.events[0]),
    packet=st.integers(0, 4),
    direction=st.sampled_from(["request", "reply", None]),
    namespace=st.sampled_from(NAMESPACES),
    kind=st.sampled_from(get_args(Kind)),
    in_interface=st.sampled_from(["", "eth0"]),
    out_interface=st.sampled_from(["", "eth0"]),
    rule=st.sampled_from([None, 1, 9999]),
    text=WORDS,
    verdict=WORDS,
    reason=WORDS,
    mark=st.sampled_from([None, 0x4000]),
    before=HEADERS,
    after=HEADERS,
    conntrack=st.sampled_from([None, next(one.conntrack for one in BASE.events if one.conntrack)]),
    evidence=st.sampled_from(["seen", "inferred"]),
)


def numbered(events: list[Event]):
    told = tuple(replace(event, sequence=number) for number, event in enumerate(events))
    return replace(BASE, lanes=LANES, events=told)


JOURNEYS = st.lists(EVENTS, max_size=30).map(numbered)


@settings(max_examples=60, deadline=None)
@given(JOURNEYS, st.sampled_from(LEVELS))
def test_any_journey_has_a_ladder(journey, level):
    ET.fromstring(ladder_svg(journey, level))


@settings(max_examples=60, deadline=None)
@given(JOURNEYS)
def test_steps_are_in_order_and_a_level_shows_no_less_than_the_one_before(journey):
    levels = [[step.event.sequence for step in journey_steps(journey, level)] for level in LEVELS]
    assert all(numbers == sorted(numbers) for numbers in levels)
    summary, rules, everything = map(set, levels)
    assert summary <= rules <= everything
    assert everything == {event.sequence for event in journey.events}


@settings(max_examples=60, deadline=None)
@given(JOURNEYS)
def test_a_packet_hops_from_where_it_was(journey):
    places = {}
    for step in journey_steps(journey, "everything"):
        if step.kind == "hop":
            assert places.get(step.packet, step.start) == step.start != step.at
            places[step.packet] = step.at
    assert len(journey_lanes(journey, "everything")) <= len(NAMESPACES)
