import chart_samples as samples
import pytest

from labkit.chart.latency import MEASURES, show_latency
from labkit.errors import RequestError


def points(chart, name):
    """Every drawn (row, value) of a quantile; the key's own trace has no point."""
    found = [trace for trace in chart.drawing["data"] if trace["name"] == name and trace["x"] != [None]]
    return sorted(pair for trace in found for pair in zip(trace["y"], trace["x"], strict=True))


@pytest.mark.parametrize("measure", MEASURES)
def test_figure_table_and_runs_hold_the_same_medians(measure):
    runs = samples.fourteen()
    chart = show_latency(runs, measure)
    unit = 1000 if "ms" in chart.table.columns[2].title else 1
    medians = [run.latency_us[measure]["p50"].value / unit for run in runs]
    assert [value for _, value in points(chart, "p50")] == medians
    assert [float(row[2].split()[0]) for row in chart.table.rows] == [
        pytest.approx(value, rel=0.01) for value in medians
    ]
    assert chart.drawing["layout"]["yaxis"]["ticktext"] == [row[0] for row in chart.table.rows]


def test_whiskers_are_the_intervals():
    chart = show_latency(samples.run(connect_us=400))
    (trace,) = (one for one in chart.drawing["data"] if one["name"] == "p50" and one["x"] != [None])
    assert trace["x"] == [400]
    assert (trace["error_x"]["arrayminus"], trace["error_x"]["array"]) == (
        [pytest.approx(20)],
        [pytest.approx(20)],
    )
    assert chart.table.rows[0][2] == "400 (380 to 420)"


def test_sentence_names_the_fastest_and_the_slowest():
    runs = [
        samples.run("rr", connect_us=400),
        samples.run("lc", connect_us=300),
        samples.run("sed", connect_us=900),
    ]
    assert show_latency(runs).alt == (
        "Connect time: default/web:80 TCP, 3 runs: lowest median ipvs lc (300 µs), highest ipvs sed (900 µs)."
    )


def test_sentence_admits_what_cannot_be_told_apart():
    alt = show_latency([samples.run("rr", connect_us=400), samples.run("lc", connect_us=410)]).alt
    assert alt.endswith("but their 95 % intervals overlap.")


def test_overloaded_runs_are_listed_but_not_drawn():
    chart = show_latency([samples.run(), samples.run("lc", connect_us=9e6, overloaded=True)])
    assert chart.drawing["layout"]["yaxis"]["ticktext"] == ["ipvs rr"]
    assert "xaxis" in chart.drawing["layout"]
    assert chart.drawing["layout"]["xaxis"]["range"][1] < 2000
    assert chart.table.rows[1][-1] == "overloaded: not drawn"
    assert "overloaded, so listed but not drawn: ipvs lc" in chart.alt


def test_runs_without_the_measure_are_listed_as_such():
    silent = samples.run("lc", (0, 0, 0, 0), errors={"timeout": 300})
    chart = show_latency([samples.run(), silent])
    assert chart.table.rows[1] == ("ipvs lc", "-", "-", "-", "-", "not measured")
    assert chart.alt.endswith("not measured: ipvs lc.")
    assert "nothing to draw" in show_latency(silent).alt


def test_axis_is_logarithmic_only_where_values_differ_much():
    near = show_latency([samples.run(connect_us=400), samples.run("lc", connect_us=800)])
    far = show_latency([samples.run(connect_us=400), samples.run("lc", connect_us=80_000)])
    assert near.drawing["layout"]["xaxis"]["range"][0] == 0
    axis = far.drawing["layout"]["xaxis"]
    assert (axis["type"], axis["title"]["text"]) == ("log", "µs, logarithmic")
    assert all(10 ** axis["range"][0] <= tick <= 10 ** axis["range"][1] for tick in axis["tickvals"])


@pytest.mark.parametrize("connect_us", [0.004, 3.1, 47.0, 999.0, 12_345.0, 3.3e6, 9.9e8])
def test_axis_has_a_few_ticks_at_any_size(connect_us):
    chart = show_latency(samples.run(connect_us=connect_us))
    assert 3 <= len(chart.drawing["layout"]["xaxis"]["tickvals"]) <= 8


def test_zero_latencies_of_virtual_time_can_be_drawn():
    chart = show_latency(
        [samples.run(connect_us=0.0, clock="virtual"), samples.run("lc", connect_us=50.0, clock="virtual")]
    )
    assert points(chart, "p50") == [(0, 0.0), (1, 50.0)]
    assert chart.still.startswith("<svg")
    assert chart.title == "Connect time: default/web:80 TCP, virtual time"


def test_several_services_are_groups_of_lines():
    chart = show_latency(samples.many_services())
    layout = chart.drawing["layout"]
    assert len(layout["yaxis"]["ticktext"]) == 12 + 24
    headings = {note["y"]: note["text"] for note in layout["annotations"]}
    assert headings[0] == "<b>default/adservice:7000 TCP</b>"
    assert layout["yaxis"]["ticktext"][:3] == ["", "iptables random", "ipvs rr"]
    assert chart.table.names == 2
    assert "default/adservice:7000 TCP under ipvs rr" in chart.alt


def test_plotly_accepts_the_drawing():
    for runs in (samples.fourteen(), samples.many_services()):
        assert len(show_latency(runs).figure.data) == len(show_latency(runs).drawing["data"])


def test_wrong_requests_are_refused():
    with pytest.raises(RequestError, match="do not belong in one chart"):
        show_latency([samples.run(), samples.run(clock="virtual")])
    with pytest.raises(RequestError, match="no latency measure 'median'"):
        show_latency(samples.run(), "median")
    with pytest.raises(RequestError, match="nothing to chart"):
        show_latency([])
