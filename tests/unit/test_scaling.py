"""Scaling: its plan, its file, its chart, its clusters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from labkit.chart.programming import show_programming
from labkit.chart.scaling import show_scaling
from labkit.errors import RequestError
from labkit.experiments.scaling import plan_cells, plan_scaling
from labkit.measure import scaling as records
from labkit.measure.records import GuestFacts, Quantile
from labkit.proxy.plans import lab_config, plan_node
from labkit.spec.cluster import read_manifests
from labkit.spec.many import many_services, plan_many_services

ASKED = {"flows": 400, "endpoints": 2, "seed": 1, "memory_mb": 512}


def row(mode, services, delay_us):
    delays = dict.fromkeys(("min", "p05", "p50"), Quantile(delay_us, delay_us - 0.5, delay_us + 0.5))
    return records.ScalingRow(
        mode=mode,
        services=services,
        first_packet_us=dict.fromkeys(("first", "middle", "last"), delays),
        program_s=0.5,
        remove_s=0.01,
        add_s=0.02,
        lost=0,
        memory_mb=records.MemoryPeaks(40.0, 30.0, 90.0, 490.0),
        guest=GuestFacts("uml", "6.12", 1),
        load_1m=0.5,
    )


def result():
    plan = plan_scaling((1000, 1, 2000), ("iptables-legacy", "ipvs"), **ASKED)
    rows = [row("iptables-legacy", size, 5 + 0.006 * size) for size in plan.sizes]
    rows += [row("ipvs", size, 6.0) for size in plan.sizes]
    return records.ScalingResult(plan, tuple(rows), ("nftables: no",))


def test_a_plan_measures_each_size_under_each_mode_small_ones_first():
    plan = plan_scaling((10, 1, 10), ("ipvs", "nftables", "ipvs"), **ASKED)
    assert [(cell.services, cell.mode) for cell in plan_cells(plan)] == [
        (1, "ipvs"),
        (1, "nftables"),
        (10, "ipvs"),
        (10, "nftables"),
    ]


@pytest.mark.parametrize(
    ("sizes", "modes", "others", "message"),
    [
        ((1,), ("iptables",), {}, "no mode 'iptables'"),
        ((1,), (), {}, "no mode is named"),
        ((0,), ("ipvs",), {}, "not numbers of Services"),
        ((), ("ipvs",), {}, "not numbers of Services"),
        ((100_000,), ("ipvs",), {}, "not numbers of Services"),
        ((1,), ("ipvs",), {"flows": 1}, "flows=1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(sizes, modes, others, message):
    with pytest.raises(RequestError, match=message):
        plan_scaling(sizes, modes, **ASKED | others)


def test_slopes_are_in_nanoseconds_for_each_service():
    fits = result().fits()
    assert fits["iptables-legacy"].slope == pytest.approx(6.0)
    assert fits["iptables-legacy"].r_squared == pytest.approx(1.0)
    assert fits["ipvs"].slope == pytest.approx(0.0, abs=1e-9)


def test_what_is_written_is_read_back_and_fits_the_published_schema(tmp_path):
    path = tmp_path / "scaling.jsonl"
    result().write(path)
    assert records.ScalingResult.read(path) == result()
    published = Path(records.__file__).with_name("scaling.schema.json")
    assert json.loads(published.read_text()) == records.ScalingResult.schema()
    for line in path.read_text().splitlines():
        Draft202012Validator(records.ScalingResult.schema()).validate(json.loads(line))


@pytest.mark.parametrize("text", ["", "[]\n", '{"schema": 2}\n', '{"schema": 1}\n', "no JSON"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "scaling.jsonl"
    path.write_text(text)
    with pytest.raises(RequestError):
        records.ScalingResult.read(path)


def test_the_chart_says_the_slopes_and_lists_every_row():
    chart = show_scaling(result())
    assert "iptables-legacy +6.00 ns a Service" in chart.alt
    assert len(chart.table.rows) == 6
    assert [trace["x"] for trace in chart.drawing["data"]][:2] == [[1, 1000, 2000]] * 2
    assert "<svg" in chart.still


def test_too_few_sizes_draw_no_line():
    whole = result()
    few = replace(whole, rows=whole.rows[:2])
    assert "too few sizes" in show_scaling(few).alt


def part(mode, sizes, delay_us):
    plan = plan_scaling(sizes, (mode,), **ASKED)
    return records.ScalingResult(plan, tuple(row(mode, size, delay_us) for size in plan.sizes), (f"{mode}!",))


def test_results_of_several_calls_are_joined_and_the_later_of_two_equal_rows_counts():
    joined = records.join_results([part("ipvs", (1, 500), 9.0), part("iptables-nft", (9,), 5.0)])
    assert (joined.plan.sizes, joined.plan.modes) == ((1, 9, 500), ("iptables-nft", "ipvs"))
    assert joined.failures == ("ipvs!", "iptables-nft!")
    again = records.join_results([joined, part("ipvs", (500,), 7.0)])
    assert [one.first_packet_us["last"]["p05"].value for one in again.of_mode("ipvs")] == [9.0, 7.0]
    assert show_scaling([joined, part("ipvs", (500,), 7.0)]).table == show_scaling(again).table


def test_results_that_were_measured_otherwise_are_not_joined():
    other = part("ipvs", (1,), 9.0)
    few = replace(other, plan=replace(other.plan, flows=20))
    for results in ([], [other, few]):
        with pytest.raises(RequestError):
            show_programming(results)


def test_the_chart_of_programming_draws_the_fewest_and_the_most_services_and_lists_all():
    chart = show_programming([result(), part("nftables", (1,), 5.0)])
    assert chart.drawing["layout"]["yaxis"]["ticktext"] == [
        "iptables-legacy, 1",
        "iptables-legacy, 2,000",
        "nftables, 1",
        "ipvs, 1",
        "ipvs, 2,000",
    ]
    assert len(chart.table.rows) == 7
    assert "ipvs 500 ms for all of 2,000 Services, 10 ms for one endpoint less" in chart.alt
    assert "<svg" in chart.still


def test_many_services_as_a_manifest_are_those_that_are_planned():
    written, planned = read_manifests([many_services(300)]), plan_many_services(300)
    assert [one.cluster_ip for one in written.services] == [one.cluster_ip for one in planned.services]
    assert [one.key for one in written.services] == [one.key for one in planned.services]
    assert [pod.node for pod in written.pods] == ["node-1", "node-2"]
    assert {len(one.endpoints) for one in written.slices} == {2}


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_many_services_are_a_cluster_that_every_planner_takes(mode):
    cluster = plan_many_services(300)
    assert len({service.cluster_ip for service in cluster.services}) == 300
    plan = plan_node(mode, cluster, cluster.nodes[0], lab_config(cluster))
    assert plan.node == "node-1"


def test_services_that_cannot_be_made_are_refused():
    for make, count in ((plan_many_services, 0), (many_services, 0), (many_services, 2001)):
        with pytest.raises(RequestError, match="cannot be"):
            make(count)
