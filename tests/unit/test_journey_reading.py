"""Journeys read: as text, table, comparison; the levels; recorded ones against golden texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from journey_samples import journey, samples

from labkit.errors import RequestError
from labkit.measure.journey.form import from_json
from labkit.measure.journey.sentences import sentence

HERE = Path(__file__).parents[1]
RECORDED = sorted((HERE / "samples" / "journey" / "recorded").glob("*.json"))
MODES = ("iptables", "ipvs", "nftables")


def recorded(name):
    return from_json((HERE / "samples" / "journey" / "recorded" / f"{name}.json").read_text())


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_the_summary_of_a_recorded_journey_is_the_golden_one(path):
    golden = HERE / "golden" / "journey" / f"{path.stem}.expected"
    assert f"{from_json(path.read_text()).text()}\n" == golden.read_text()


@pytest.mark.parametrize("name", MODES)
def test_a_summary_has_about_a_dozen_steps_and_each_level_more(name):
    read = recorded(name)
    steps = [len(read.table(level).rows) for level in ("summary", "rules", "everything")]
    assert 10 <= steps[0] <= 18
    assert steps[0] < steps[1] < steps[2] == len(read.events)


def test_a_level_that_there_is_not_is_refused():
    with pytest.raises(RequestError, match="no level 'all'"):
        journey("iptables").text("all")


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_event_has_a_sentence(name):
    for event in samples()[name].events:
        assert sentence(event)


def test_no_rules_are_compared_twice_and_inferred_ones_are_counted():
    read = recorded("iptables")
    rules = [event for event in read.events if event.kind == "rule" and event.packet == 1]
    assert read.rules_compared() == sum(event.compared for event in rules)
    assert read.rules_compared(0) == sum(read.rules_compared(packet.number) for packet in read.packets)
    assert any(event.evidence == "inferred" and event.compared > 1 for event in rules)


def test_a_comparison_says_where_two_modes_part_and_what_each_cost():
    one, other = recorded("iptables"), recorded("ipvs")
    compared = one.compare(other)
    assert compared.headings == ("", "iptables", "ipvs (rr)")
    signs = [row[0] for row in compared.rows]
    assert signs[0] == "="
    assert set(signs) <= set("=|<>")
    assert any("IPVS chooses" in row[2] for row in compared.rows if row[0] != "=")
    assert f"iptables: {one.rules_compared()} rules compared for the first packet" in compared.caption


def test_a_journey_compared_with_itself_parts_nowhere():
    read = recorded("nftables")
    assert {row[0] for row in read.compare(read).rows} == {"="}


def test_a_table_is_aligned_text_and_html_without_any_markup_of_the_rules():
    table = recorded("nftables").table("rules")
    lines = str(table).splitlines()
    assert lines[0].startswith("event  packet  where")
    html = table._repr_html_()
    assert html.count("<tr>") == len(table.rows) + 1
    assert "->" not in html.replace("-&gt;", "")
