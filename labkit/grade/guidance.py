"""What a learner's notebook calls: `draw` (an exercise's values), `open_lab` (its cluster), `check` (a mark).

The check is the one that grades: the same answer, judged in the same way in a fresh guest. Only the draw is
another, because a learner does not have the course's secret.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.grade.answering import answer
from labkit.grade.desk import plan_marking
from labkit.grade.draws import draw_seed, key_here
from labkit.grade.exercise import find_exercise
from labkit.grade.mark import Mark, read_mark
from labkit.guest.jobs import JobPool
from labkit.spec.text import Text

if TYPE_CHECKING:
    from labkit.grade.exercise import Given
    from labkit.lab import Lab


class Draw:
    """What an exercise gives: each part by its name as an attribute; a manifest is ready for `Lab.open`."""

    def __init__(self, exercise: str, given: Given) -> None:
        """Hold what the learner may see: names that do not begin with `_`."""
        self._given = {
            name: Text(exercise, value) if name == "manifest" else value
            for name, value in given.items()
            if not name.startswith("_")
        }

    def __getattr__(self, name: str) -> Any:
        try:
            return self._given[name]
        except KeyError:
            raise AttributeError(f"this draw has no {name!r}; it has: {', '.join(self._given)}") from None

    def __dir__(self) -> list[str]:
        return sorted([*self._given, "export"])

    def __repr__(self) -> str:
        plain = {name: value for name, value in self._given.items() if not isinstance(value, Text)}
        return "\n".join(f"{name} = {value!r}" for name, value in plain.items())

    def export(self) -> None:
        """Put it into the environment of `%%bash` cells: `cluster_ip` is $CLUSTER_IP; lists as words."""
        for name, value in self._given.items():
            if isinstance(value, str | int):
                os.environ[name.upper()] = str(value)
            elif isinstance(value, list):
                os.environ[name.upper()] = " ".join(map(str, value))


class Points(float):
    """The points of a mark, which shows the whole mark where it is displayed."""

    mark: Mark

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self.mark.to_bundle()


def draw(exercise: str) -> Draw:
    """Return what an exercise gives to this student. Raises RequestError for an unknown exercise."""
    return Draw(exercise, find_exercise(exercise).draws(draw_seed(key_here(), exercise))[0])


def open_lab(exercise: str) -> Lab:
    """Open the lab that an exercise is about: its manifest, in its mode, with all that was done to it.

    Raises RequestError for an unknown exercise, or one without a manifest, and what `Lab.open` raises.
    """
    from labkit.lab import Lab

    asked = find_exercise(exercise)
    given = asked.draws(draw_seed(key_here(), exercise))[0]
    if "manifest" not in given:
        raise RequestError(f"{exercise} is about no cluster", todo="see what it gives: draw(...)")
    lab = Lab.open(Text(exercise, given["manifest"]), mode=given.get("mode", "iptables"))
    if asked.prepare is not None:
        asked.prepare(given, lab)
    return lab


def check(exercise: str) -> Points:
    """Judge this notebook's answer in a fresh guest; return its points, which show what is missing.

    Raises RequestError for an unknown exercise, GuestError where no mark comes back.
    """
    job = plan_marking(exercise, key_here(), answer(exercise).text)
    with JobPool(1) as pool:
        mark = read_mark(pool.submit(job).result())
    points = Points(mark.points)
    points.mark = mark
    return points
