"""A mark: what was expected, what was seen and what to try next, part by part, with its points."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

from labkit.errors import GuestError, LabError, decode_error
from labkit.measure.schema import decode, encode

MARK_MIME = "application/vnd.labkit.mark+json"
HEADINGS = ("", "part", "points", "expected", "seen", "what to try next")


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of an exercise: `points` of `most` were earned. `todo` is empty where nothing is missing."""

    part: str
    points: float
    most: float
    expected: str
    seen: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an answer earned. `seed` names the draw that it was tried on."""

    exercise: str
    seed: str
    findings: tuple[Finding, ...]

    @property
    def points(self) -> float:
        """The points earned, never less than 0."""
        return round(max(0.0, sum(finding.points for finding in self.findings)), 4)

    @property
    def most(self) -> float:
        """The points that there are to earn."""
        return round(sum(finding.most for finding in self.findings), 4)

    def to_json(self) -> bytes:
        """Return the mark as one JSON object."""
        return json.dumps(encode(self)).encode()

    def to_text(self) -> str:
        """Return the mark as lines for a terminal or a screen reader."""
        lines = [f"{self.exercise}: {self.points:g} of {self.most:g} points"]
        for one in self.findings:
            lines.append(f"  {one.part}: {one.points:g} of {one.most:g}")
            lines += [f"    expected: {one.expected}", f"    seen:     {one.seen}"]
            lines += [f"    try:      {one.todo}"] if one.todo else []
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return the mark as a table."""
        heads = "".join(f'<th scope="col" style="text-align:left">{head}</th>' for head in HEADINGS)
        rows = "".join(_html_row(finding) for finding in self.findings)
        caption = f"{html.escape(self.exercise)}: {self.points:g} of {self.most:g} points"
        return f"<table><caption>{caption}</caption><tr>{heads}</tr>{rows}</table>"

    def to_bundle(self) -> dict[str, Any]:
        """Return the data of a test cell's `execute_result`: nbgrader reads the number in text/plain."""
        return {"text/plain": f"{self.points:g}", "text/html": self.to_html(), MARK_MIME: encode(self)}


def read_mark(data: bytes) -> Mark:
    """Return the mark in what a marking replied.

    Raises the LabError that stands there instead, GuestError where it is neither.
    """
    try:
        value: Any = json.loads(data)
        if isinstance(value, dict) and "error" in value:
            raise decode_error(data)
        mark: Mark = decode(Mark, value, "the mark")
    except LabError:
        raise
    except ValueError as error:
        raise GuestError(
            "a marking ended without a mark", where=repr(data[:80]), todo="grade it again"
        ) from error
    return mark


def _html_row(finding: Finding) -> str:
    sign = "✓" if finding.points >= finding.most else "✗"
    points = f"{finding.points:g} of {finding.most:g}"
    texts = (sign, finding.part, points, finding.expected, finding.seen, finding.todo)
    cells = "".join(f'<td style="text-align:left">{html.escape(text)}</td>' for text in texts)
    return f"<tr>{cells}</tr>"
