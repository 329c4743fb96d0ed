"""A journey in virtual time: ordered by position, and the same in every run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

from labkit.measure.journey.form import from_json

RECORD = """
from labkit.lab import Lab
from labkit.measure.journey.form import to_json
with Lab.open("web", mode="{mode}") as lab, lab.journey("{client}", service="web", packets="all") as journey:
    print(to_json(journey), end="")
"""


def record(mode, client):
    program = RECORD.format(mode=mode, client=client)
    argv = [sys.executable, "-m", "labkit", "exec", "--virtual-time", "--", sys.executable, "-c", program]
    return from_json(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def without_chance(event):
    """Return an event without what the kernel draws by lot: sequence numbers and checksums of the frame."""
    return replace(event, frame="")


def test_two_runs_give_the_same_list():
    one, other = record("ipvs", "client"), record("ipvs", "client")
    assert one.outcome.answered_by
    assert [without_chance(event) for event in one.events] == [
        without_chance(event) for event in other.events
    ]
    assert len({event.time_ns for event in one.events}) < len(one.events) / 2  # stamps alone tell no order


def test_a_packet_enters_a_place_after_it_has_left_the_one_before():
    journey = record("iptables", "client")
    frames = [event for event in journey.events if event.kind == "interface" and event.packet == 1]
    way = [(event.namespace, bool(event.out_interface)) for event in frames]
    assert way[0] == ("client", True)
    assert way[-1] == (journey.lanes[-1].namespace, False)
    for (namespace, leaves), (following, leaves_again) in pairwise(way):
        assert namespace == following or (leaves and not leaves_again)
