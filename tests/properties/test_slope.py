"""Lines of least squares, held to what defines them and to exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labkit.errors import RequestError
from labkit.measure.slope import fit_line, student_t

numbers = st.integers(-1000, 1000)
clouds = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12)


def normal_equations(points):
    """Solve n a + Sx b = Sy, Sx a + Sxx b = Sxy exactly; return b, a and R squared."""
    n = len(points)
    sx, sy = (Fraction(sum(point[at] for point in points)) for at in (0, 1))
    sxx, sxy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    intercept = (sy - slope * sx) / n
    residual = sum((y - intercept - slope * x) ** 2 for x, y in points)
    total = sum((y - sy / n) ** 2 for _, y in points)
    return slope, intercept, 1 - residual / total if total else Fraction(0)


@given(clouds)
def test_a_line_solves_the_normal_equations(points):
    assume(len({x for x, _ in points}) > 1)
    slope, intercept, r_squared = normal_equations(points)
    line = fit_line(points)
    assert line.slope == pytest.approx(float(slope), rel=1e-9, abs=1e-9)
    assert line.intercept == pytest.approx(float(intercept), rel=1e-9, abs=1e-6)
    assert line.r_squared == pytest.approx(float(r_squared), abs=1e-9)
    assert line.low <= line.slope <= line.high


@given(st.lists(numbers, min_size=3, max_size=9, unique=True), numbers, numbers)
def test_points_on_a_line_give_that_line_and_no_doubt(xs, slope, intercept):
    line = fit_line([(x, intercept + slope * x) for x in xs])
    assert (line.slope, line.low, line.high) == pytest.approx((slope,) * 3, abs=1e-6)
    assert line.r_squared == pytest.approx(float(slope != 0))


@pytest.mark.parametrize(
    ("degrees", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (120, 1.980)]
)
def test_students_t_is_that_of_the_tables(degrees, t):
    assert student_t(0.95, degrees) == pytest.approx(t, abs=6e-4)


@pytest.mark.parametrize("points", [[], [(1, 1), (2, 2)], [(1, 1), (1, 2), (1, 3)]])
def test_no_line_without_three_points_and_two_places(points):
    with pytest.raises(RequestError, match="three points"):
        fit_line(points)
