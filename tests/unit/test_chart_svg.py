import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.chart.svg import PAINTS, clipped, picture, text, width_px, wrapped

SIZES = st.sampled_from([11.5, 13, 16])


def luminance(colour):
    """WCAG 2.2's relative luminance of `#rrggbb`."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "panel", "mark"])
@pytest.mark.parametrize("ink", ["ink", "muted", "service", "pod", "bad"])
def test_text_can_be_read_on_every_ground(ink, ground, theme):
    assert contrast(PAINTS[ink][theme], PAINTS[ground][theme]) >= 4.5


@given(st.text(max_size=60), st.floats(20, 400), SIZES, st.booleans())
def test_wrapped_lines_fit_and_keep_every_letter(words, room, size, mono):
    lines = wrapped(words, room, size, mono=mono)
    assert "".join("".join(lines).split()) == "".join(words.split())
    assert all(width_px(line, size, mono=mono) <= room or len(line) == 1 for line in lines)


@given(st.text(max_size=60), st.floats(20, 400), SIZES)
def test_clipped_words_fit_and_are_whole_where_they_do(words, room, size):
    short = clipped(words, room, size)
    assert width_px(short, size) <= room
    assert short == words or "…" in short


@given(st.text(max_size=30))
def test_any_text_makes_xml(words):
    found = ET.fromstring(picture(10, 10, words, words, [text(1, 1, words)]))
    assert found.get("role") == "img"
