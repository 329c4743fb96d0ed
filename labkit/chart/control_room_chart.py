"""The rounds of traffic as a still <svg>: how fast they were answered, and how many were not. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.facts import counted, unit_for
from labkit.chart.style import even_ticks
from labkit.chart.svg import Box, outline, path, picture, rect, text, width_px

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.chart.control_room_state import Round

WIDTH_PX, HEIGHT_PX = 920.0, 210.0
FIELD = Box(72, 52, 832, 112)  # where times are drawn
PLACES = 40  # of rounds
STEP_PX = FIELD.width / PLACES
TITLE = "Response time, round by round"


def rounds_svg(rounds: Sequence[Round]) -> str:
    """Return the rounds, the newest on the right: median with a line up to p95, failures below."""
    alt, rounds = rounds_alt(rounds), rounds[-PLACES:]
    top_us = max((one.p95_us or one.p50_us or 0.0 for one in rounds), default=0.0) * 1.05 or 1000.0
    parts = [text(16, 24, TITLE, size=14, weight=600), *_key(), *_grid(top_us)]
    for place, one in enumerate(rounds, PLACES - len(rounds)):
        parts += _round(one, FIELD.x + (place + 0.5) * STEP_PX, top_us)
    parts += _changes(rounds)
    return picture(WIDTH_PX, HEIGHT_PX, TITLE, alt, parts)


def rounds_alt(rounds: Sequence[Round]) -> str:
    """Return the last round in one sentence."""
    if not rounds:
        return "No traffic yet."
    last = rounds[-1]
    answered = counted(sum(last.answers.values()), "connection")
    middle = f", median {unit_for([last.p50_us]).text(last.p50_us)}" if last.p50_us else ""
    failed = f", {last.failed} failed" if last.failed else ""
    return f"Round {last.number}, {last.algorithm}: {answered} answered{middle}{failed}."


def _key() -> Iterator[str]:
    x = 300.0
    yield path([(x, 14), (x, 26)], stroke="service", width=2) + _dot(x, 22)
    yield text(x + 10, 24, "median, and up to p95", size=12, paint="muted")
    x += 10 + width_px("median, and up to p95", 12) + 20
    yield _cross(x, 20)
    yield text(x + 11, 24, "failed connections", size=12, paint="muted")


def _grid(top_us: float) -> Iterator[str]:
    unit = unit_for([top_us / 2])
    for value, label in even_ticks(top_us / unit.us).items():
        y = _y(value * unit.us, top_us)
        yield path([(FIELD.x, y), (FIELD.right, y)], stroke="line")
        words = f"{label} {unit.name}" if value else "0"
        yield text(FIELD.x - 8, y + 4, words, size=11.5, anchor="end", paint="muted")
    yield text(FIELD.x - 8, FIELD.bottom + 24, "failed", size=11.5, anchor="end", paint="muted")


def _round(one: Round, x: float, top_us: float) -> Iterator[str]:
    if one.p50_us is not None and one.p95_us is not None:
        ends = [(x, _y(one.p50_us, top_us)), (x, _y(one.p95_us, top_us))]
        yield path(ends, stroke="service", width=2) + _dot(x, ends[0][1])
    if one.failed:
        yield _cross(x, FIELD.bottom + 16)
        if width_px(str(one.failed), 10.5) < STEP_PX:
            yield text(x, FIELD.bottom + 34, str(one.failed), size=10.5, anchor="middle", paint="bad")


def _changes(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the algorithm's name where it begins; of names that would overlap, the newer."""
    taken_from = FIELD.right
    names = ["", *(one.algorithm for one in rounds)]
    for place in range(len(rounds) - 1, -1, -1):
        name = names[place + 1]
        if name == names[place]:
            continue
        x = FIELD.x + (PLACES - len(rounds) + place) * STEP_PX
        yield path([(x, FIELD.y - 14), (x, FIELD.bottom)], stroke="muted", dash="3 3")
        at = min(x + 4, FIELD.right - width_px(name, 11.5, weight=600))
        if at + width_px(name, 11.5, weight=600) <= taken_from:
            yield text(at, FIELD.y - 5, name, size=11.5, weight=600)
            taken_from = at - 8


def _y(value_us: float, top_us: float) -> float:
    return FIELD.bottom - min(value_us / top_us, 1) * FIELD.height


def _dot(x: float, y: float) -> str:
    return rect(Box(x - 3.5, y - 3.5, 7, 7), fill="service", radius=3.5)


def _cross(x: float, y: float) -> str:
    return outline(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", stroke="bad", width=2)
