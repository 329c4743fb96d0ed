import xml.etree.ElementTree as ET

import chart_samples as samples
import pytest

from labkit.chart.distribution import show_distribution
from labkit.chart.latency import show_latency
from labkit.chart.picture import PLOTLY_MIME
from labkit.chart.still import Scale, key_to
from labkit.chart.style import MODE_COLOUR, PAPER

SVG = "{http://www.w3.org/2000/svg}"
BIG = tuple(f"default/web-{number}" for number in range(12))
CHARTS = {
    "distribution": show_distribution(samples.fourteen()),
    "latency": show_latency(samples.fourteen()),
    "services": show_latency(samples.many_services(), "forward"),
    "heat map": show_distribution(
        samples.run(counts=(25,) * 12, pods=BIG, expected=dict.fromkeys(BIG, 1 / 12))
    ),
}


@pytest.fixture(params=CHARTS, name="chart")
def _chart(request):
    return CHARTS[request.param]


def texts(chart):
    return ["".join(text.itertext()) for text in ET.fromstring(chart.still).iter(f"{SVG}text")]


def test_still_picture_is_well_formed_and_described(chart):
    picture = ET.fromstring(chart.still)
    assert picture.get("role") == "img"
    assert picture.findtext(f"{SVG}title") == chart.title
    assert picture.findtext(f"{SVG}desc") == chart.alt


def test_still_picture_names_every_line_and_every_sign(chart):
    written = texts(chart)
    assert {label for label in chart.drawing["layout"]["yaxis"]["ticktext"] if label} <= set(written)
    assert {name for _, name in key_to(chart.drawing)} <= set(written)


def test_still_picture_stays_inside_its_frame(chart):
    picture = ET.fromstring(chart.still)
    _, _, width, height = map(float, picture.get("viewBox").split())
    for mark in picture.iter():
        for name, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0 <= float(mark.get(name, 0)) <= limit


def test_still_bars_are_as_long_as_the_figure_s():
    chart = CHARTS["distribution"]
    rects = [
        rect
        for rect in ET.fromstring(chart.still).iter(f"{SVG}rect")
        if rect.get("fill") in MODE_COLOUR.values()
    ]
    bars = [rect for rect in rects if float(rect.get("height")) > 12]
    shares = [share for trace in chart.drawing["data"] if trace["type"] == "bar" for share in trace["x"]]
    longest = max(float(bar.get("width")) for bar in bars)
    assert [float(bar.get("width")) for bar in bars] == [
        pytest.approx(share / max(shares) * longest, abs=0.2) for share in shares
    ]


def test_a_scale_maps_its_ends_to_its_pixels():
    assert [Scale(10, 110, 0, 50).at(value) for value in (0, 25, 50)] == [10, 60, 110]
    assert [Scale(0, 100, 1, 3, log=True).at(value) for value in (10, 100, 1000, 0)] == [0, 50, 100, 0]


def test_bundle_has_the_figure_for_plotly_for_html_and_for_a_terminal(chart):
    bundle = chart.figure_bundle()
    assert set(bundle) == {PLOTLY_MIME, "text/html", "text/plain"}
    assert bundle[PLOTLY_MIME]["data"] == chart.drawing["data"]
    assert bundle["text/html"].startswith("<svg")
    assert "script" not in bundle["text/html"]
    assert bundle["text/plain"] == str(chart) == f"{chart.alt}\n\n{chart.table.text()}"


def test_words_hold_the_sentence_and_the_folded_table(chart):
    words = chart.words_html()
    assert words.index("<p>") < words.index("<details>") < words.index("<table>")
    assert "open" not in words.partition("<details")[2].partition(">")[0]


def _contrast(one: str, other: str) -> float:
    # WCAG 2.2, relative luminance.
    def luminance(colour: str) -> float:
        channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", MODE_COLOUR)
def test_colours_are_seen_on_paper_and_at_night_and_carry_white_numbers(mode):
    assert _contrast(MODE_COLOUR[mode], PAPER) >= 4.5
    assert _contrast(MODE_COLOUR[mode], "#0d1117") >= 3
