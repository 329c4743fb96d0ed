"""Slopes: the straight line of least squares through points, how well it fits, and how sure its slope is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.measure.latency import beta_cumulative

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
_BISECTIONS = 100


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope * x; `low` and `high` are the slope's 95 % interval.

    `r_squared` is the part of y's variance that the line explains; 0 where y does not vary at all.
    """

    slope: float
    low: float
    high: float
    intercept: float
    r_squared: float


def fit_line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squares through points (x, y).

    slope = Sxy / Sxx, its standard error sqrt((1 - R^2) Syy / (n - 2) / Sxx), and the interval Student's t
    with n - 2 degrees of freedom times that (Draper and Smith, Applied Regression Analysis, 1.4). Raises
    RequestError for fewer than three points or a single x: then there is nothing to be sure of.
    """
    count = len(points)
    if count < 3 or len({x for x, _ in points}) < 2:
        raise RequestError("a line needs three points with two values of x", todo="measure more sizes")
    mean_x = math.fsum(x for x, _ in points) / count
    mean_y = math.fsum(y for _, y in points) / count
    sxx = math.fsum((x - mean_x) ** 2 for x, _ in points)
    syy = math.fsum((y - mean_y) ** 2 for _, y in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    intercept = mean_y - slope * mean_x
    residual = math.fsum((y - intercept - slope * x) ** 2 for x, y in points)
    margin = student_t(CONFIDENCE, count - 2) * math.sqrt(residual / (count - 2) / sxx)
    r_squared = max(0.0, 1 - residual / syy) if syy > 0 else 0.0
    return Line(slope, slope - margin, slope + margin, intercept, r_squared)


def student_t(confidence: float, degrees: int) -> float:
    """Return the t that a Student variable stays within, either way, with probability `confidence`.

    P(|T| <= t) = 1 - I(v / (v + t^2); v/2, 1/2) (Abramowitz and Stegun, 26.7.1), solved by bisection over
    x = v / (v + t^2).
    """
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if beta_cumulative(middle, degrees / 2, 0.5) < 1 - confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees * (1 - high) / high)
