import re
from dataclasses import replace

import chart_samples as samples
import pytest

from labkit.chart import facts
from labkit.chart.distribution import show_distribution
from labkit.errors import RequestError

BIG = tuple(f"default/web-{number}" for number in range(12))


def traces(chart, kind, mode=None):
    return [
        one
        for one in chart.drawing["data"]
        if one["type"] == kind and (mode is None or one.get("mode") == mode)
    ]


def test_figure_table_and_runs_hold_the_same_counts():
    runs = samples.fourteen()
    chart = show_distribution(runs)
    written = traces(chart, "scatter", "text")
    for column, pod in enumerate(samples.PODS):
        counts = [run.answers.get(pod, 0) for run in runs]
        assert [int(text) for text in written[column]["text"]] == counts
        assert [int(row[1 + column].split()[0]) for row in chart.table.rows] == counts


def test_bars_are_as_long_as_the_shares_and_marks_stand_at_the_expected_ones():
    run = samples.run(
        "wrr", (50, 30, 20, 0), expected=dict(zip(samples.PODS, (0.4, 0.3, 0.2, 0.1), strict=True))
    )
    chart = show_distribution(run)
    assert [trace["x"] for trace in traces(chart, "bar")] == [[50.0], [30.0], [20.0], [0.0]]
    marks = [trace["x"] for trace in traces(chart, "scatter", "markers")]
    assert marks == [pytest.approx([share]) for share in (40, 30, 20, 10)]
    assert chart.table.rows[0][1:5] == ("50 (40)", "30 (30)", "20 (20)", "0 (10)")


def test_runs_without_expectation_have_no_marks():
    chart = show_distribution([samples.run(), samples.run("dh", (0, 0, 300, 0), expected=None, p_value=None)])
    assert [trace["y"] for trace in traces(chart, "scatter", "markers")] == [[0]] * 4
    assert chart.table.rows[1][1:5] == ("0", "0", "300", "0")
    assert chart.table.rows[1][-2:] == ("-", "-")


def test_plotly_accepts_the_drawing():
    for runs in (samples.fourteen(), [samples.run(counts=(25,) * 12, pods=BIG, expected=None)]):
        chart = show_distribution(runs)
        assert len(chart.figure.data) == len(chart.drawing["data"])
        assert chart.figure.layout.title.text == chart.title == "Who answered: default/web:80 TCP"


def test_sentence_names_the_most_and_the_least_even():
    runs = [
        samples.run("rr", (75, 75, 75, 75)),
        samples.run("random", (60, 90, 80, 70), mode="iptables", p_value=0.1),
        samples.run("sh", (10, 200, 40, 50), expected=None, p_value=None),
    ]
    assert show_distribution(runs).alt == (
        "Connections to default/web:80 TCP by pod, 3 algorithms over 4 pods: "
        "most even ipvs rr (75 each of 300), "
        "least even ipvs sh (10 to 200 of 300); every expected share was met within chance."
    )


def test_sentence_counts_a_pod_that_never_answered():
    assert (
        "least even ipvs lc (0 to 300 of 300)"
        in show_distribution([samples.run(), samples.run("lc", (300, 0, 0, 0))]).alt
    )


@pytest.mark.parametrize(("p_value", "verdict"), [(0.5, "yes"), (0.0005, "unlikely"), (1e-9, "no")])
def test_sentence_and_table_agree_on_what_was_not_expected(p_value, verdict):
    chart = show_distribution([samples.run(), samples.run("lc", (90, 60, 90, 60), p_value=p_value)])
    assert chart.table.rows[1][-2] == verdict
    assert ("not as expected: ipvs lc" in chart.alt) is (verdict != "yes")


def test_sentence_of_equal_runs_names_no_winner():
    alt = show_distribution([samples.run("rr"), samples.run("lc")]).alt
    assert "ipvs rr and ipvs lc gave every pod the same: 75 each of 300" in alt


def test_equally_uneven_runs_are_not_called_even():
    alt = show_distribution([samples.run("dh", (300, 0, 0, 0)), samples.run("sh", (0, 300, 0, 0))]).alt
    assert "equally uneven under ipvs dh and ipvs sh: 0 to 300 of 300" in alt


def test_a_single_pod_and_silence_are_told_as_such():
    lone = samples.run(counts=(40,), pods=("default/a",), expected={"default/a": 1.0}, p_value=None)
    assert "one pod gave every answer, 40 of them under ipvs rr" in show_distribution(lone).alt
    silent = samples.run("lc", (0, 0, 0, 0), errors={"refused": 300}, p_value=None)
    chart = show_distribution([samples.run(), silent])
    assert "nobody answered under ipvs lc" in chart.alt
    assert chart.table.rows[1][-3] == "0/300"
    assert show_distribution(silent).alt.endswith("nobody answered under ipvs lc.")


def test_many_pods_become_a_heat_map_of_share_against_expected():
    counts = (50, 12, 0, 100, *(25,) * 8)
    run = samples.run(counts=counts, pods=BIG, expected=dict.fromkeys(BIG, 25 / sum(counts)))
    chart = show_distribution(run)
    (trace,) = traces(chart, "heatmap")
    assert trace["z"][0][:5] == [
        pytest.approx(1),
        pytest.approx(-1.06, abs=0.01),
        -2.0,
        pytest.approx(2),
        pytest.approx(0),
    ]
    assert len(chart.table.columns) == 1 + 12 + 3


def test_repeated_runs_are_numbered():
    assert facts.run_names([samples.run(), samples.run(), samples.run("lc")]) == (
        "ipvs rr",
        "ipvs rr (2)",
        "ipvs lc",
    )


def test_pods_stand_in_natural_order_without_what_they_share():
    pods = facts.pods_of([samples.run(counts=(25,) * 12, pods=BIG, expected=None)])
    assert pods == BIG
    assert facts.short_pod_names(pods)[9:] == ("web-9", "web-10", "web-11")
    long = ("shop/frontend-7d4b9c5f6d-abcde", "shop/frontend-7d4b9c5f6d-abxyz")
    assert facts.short_pod_names(long) == ("…abcde", "…abxyz")
    assert facts.short_pod_names(("a/web", "b/web")) == ("a/web", "b/web")


def test_real_and_virtual_time_never_share_a_chart():
    with pytest.raises(RequestError, match="do not belong in one chart"):
        show_distribution([samples.run(), samples.run(clock="virtual")])


def test_two_services_never_share_a_distribution():
    with pytest.raises(RequestError, match="one Service port") as caught:
        show_distribution([samples.run(), samples.run(service="default/api:80")])
    assert caught.value.where == "default/web:80 TCP and default/api:80 TCP"
    with pytest.raises(RequestError, match="nothing to chart"):
        show_distribution([])


def test_tcp_and_udp_of_a_port_are_two_service_ports():
    with pytest.raises(RequestError):
        show_distribution([samples.run(), replace(samples.run(), protocol="UDP")])


def test_numbers_and_expected_marks_do_not_collide():
    # A number right of its bar starts right of the mark; one inside the bar ends left of the mark or far off.
    chart = show_distribution(samples.fourteen())
    limit = max(x for trace in traces(chart, "bar") for x in trace["x"])
    for text, marks in zip(
        traces(chart, "scatter", "text"), traces(chart, "scatter", "markers"), strict=True
    ):
        at = dict(zip(marks["y"], marks["x"], strict=True))
        for row, x, side in zip(text["y"], text["x"], text["textposition"], strict=True):
            if row in at:
                assert x >= at[row] if side == "middle right" else x <= at[row] or x - at[row] > 0.25 * limit


def test_alt_is_one_sentence():
    for runs in (samples.fourteen(), [samples.run()], [samples.run("dh", (300, 0, 0, 0))]):
        assert len(re.findall(r"\.(\s|$)", show_distribution(runs).alt)) == 1
