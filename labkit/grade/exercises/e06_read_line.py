"""06-read-line: what a measured line says: its slope, its start, and where it meets another.

The delays are drawn and not measured: a straight line with as much scatter as a busy machine gives, so that
whoever looks at two points only, or at the last one, is found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.grade.exercise import Exercise, Function
from labkit.grade.mark import Finding
from labkit.measure.slope import fit_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from labkit.grade.exercise import Given
    from labkit.measure.slope import Line

NAME = "06-read-line"
SIZES = (1, 1000, 2500, 5000, 7500, 10_000)
SCATTER = 0.08
CLOSE = 0.01  # of the right value
FAR = 0.03  # by so much, at least, the slope is missed by whoever looks at one point or at two


def plan_draw(random: Random) -> Given:
    """Return sizes, and the delays of a mode that walks a list and of one that looks up."""
    while True:
        slope_us, start_us = random.uniform(0.003, 0.012), random.uniform(2.0, 6.0)
        flat_us = start_us + random.uniform(4.0, 9.0)
        walking = [round(_scattered(random, start_us + slope_us * size), 1) for size in SIZES]
        looking_up = [round(_scattered(random, flat_us), 1) for _ in SIZES]
        given = {"sizes": list(SIZES), "walking_us": walking, "looking_up_us": looking_up}
        if _tells(given):
            return given


def _scattered(random: Random, value: float) -> float:
    return value * (1 + random.uniform(-SCATTER, SCATTER))


def _tells(given: Given) -> bool:
    """Return whether only the whole line has the right slope, and the lines meet where there are Services."""
    walking, looking_up = _lines(given)
    delays = given["walking_us"]
    short_cuts = (delays[-1] / SIZES[-1], (delays[-1] - delays[0]) / (SIZES[-1] - SIZES[0]))
    is_found_out = all(abs(one / walking.slope - 1) > FAR for one in short_cuts)
    starts_apart = abs(delays[0] - walking.intercept) > FAR * walking.intercept
    return is_found_out and starts_apart and walking.intercept > 1 and 200 < _meet(walking, looking_up) < 5000


def judge(given: Given, said: Any) -> Iterator[Finding]:
    """Compare with the lines of least squares."""
    walking, looking_up = _lines(given)
    values = said if isinstance(said, dict) else {}
    slope_ns = 1000 * walking.slope
    yield _compare(
        "slope",
        2.0,
        values.get("ns_per_service"),
        slope_ns,
        "least squares, all points; 1 µs is 1000 ns",
    )
    yield _compare("start", 1.0, values.get("start_us"), walking.intercept, "the line's height at 0 Services")
    meet = _meet(walking, looking_up)
    yield _compare("even", 1.0, values.get("even_at"), meet, "start + slope x Services is the same for both")


def _lines(given: Given) -> tuple[Line, Line]:
    walking, looking_up = (_fit(given["sizes"], given[name]) for name in ("walking_us", "looking_up_us"))
    return walking, looking_up


def _fit(sizes: Sequence[int], delays_us: Sequence[float]) -> Line:
    return fit_line(list(zip(map(float, sizes), delays_us, strict=True)))


def _meet(walking: Line, looking_up: Line) -> float:
    return (looking_up.intercept - walking.intercept) / (walking.slope - looking_up.slope)


def _compare(part: str, most: float, said: Any, right: float, todo: str) -> Finding:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    is_right = is_number and abs(said - right) <= CLOSE * abs(right)
    expected = f"within {CLOSE:.0%} of the line's"
    return Finding(part, most if is_right else 0.0, most, expected, repr(said)[:60], "" if is_right else todo)


EXERCISE = Exercise(
    NAME, 4.0, plan_draw, Function("read_lines", ("sizes", "walking_us", "looking_up_us"), cases=2), judge
)
