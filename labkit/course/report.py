"""Why who got how many points: a row for each student and reason, as CSV and as a page.

It reads the graded notebooks (their test cells' marks, what was mended) and nbgrader's gradebook (the points,
with what a person has changed by hand).
"""

from __future__ import annotations

import csv
import html
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from labkit.course.cells import REPAIRS, grade_id, is_test, marks_of
from labkit.course.classroom import find_scores
from labkit.course.executing import SUBMITTED, Submission
from labkit.course.lesson import read_notebook
from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOTHING_LOST = "nothing lost"
_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top}"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a student's points in a lesson: `lost` points, and why."""

    student: str
    lesson: str
    points: float
    most: float
    exercise: str
    part: str
    lost: float
    expected: str
    seen: str
    next: str


def write_report(root: Path, output: Path) -> tuple[Path, Path]:
    """Write the reasons of all that was graded in a course root as report.csv and report.html.

    Raises RequestError where nothing was graded yet.
    """
    reasons = tuple(read_reasons(root))
    if not reasons:
        raise RequestError("nothing was graded here yet", where=str(root), todo="labkit course grade LESSON")
    output.mkdir(parents=True, exist_ok=True)
    table, page = output / "report.csv", output / "report.html"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_columns())
        writer.writerows(map(_safe_row, reasons))
    page.write_text(_page(reasons), encoding="utf-8")
    return table, page


def read_reasons(root: Path) -> Iterator[Reason]:
    """Yield the reasons of every graded notebook in a course root, by lesson and student."""
    scores = find_scores(root)
    submitted = {(path.name, path.parent.name) for path in root.glob(f"{SUBMITTED}/*/*") if path.is_dir()}
    for lesson, student in sorted(submitted | set(scores)):
        if (lesson, student) not in scores:
            yield _not_graded(root, lesson, student)
            continue
        points, most = scores[lesson, student]
        found = list(_notebook_reasons(root / "autograded" / student / lesson / f"{lesson}.ipynb"))
        for exercise, part, lost, expected, seen, todo in found or [("", NOTHING_LOST, 0.0, "", "", "")]:
            yield Reason(student, lesson, points, most, exercise, part, lost, expected, seen, todo)


def _not_graded(root: Path, lesson: str, student: str) -> Reason:
    seen, todo = "it was not graded yet", f"labkit course grade {lesson}"
    try:
        read_notebook(Submission(root, lesson, student).notebook)
    except RequestError as error:
        seen, todo = error.message, error.todo
    return Reason(student, lesson, 0.0, 0.0, "", "not graded", 0.0, f"{lesson}.ipynb", seen, todo)


_Why = tuple[str, str, float, str, str, str]


def _notebook_reasons(path: Path) -> Iterator[_Why]:
    if not path.is_file():
        yield "", "no notebook", 0.0, path.name, "there is none, or it could not be graded", "ask for it"
        return
    notebook = read_notebook(path)
    for repair in notebook.metadata.get(REPAIRS, []):
        yield "", "mended", 0.0, "", repair, ""
    for cell in notebook.cells:
        if is_test(cell):
            yield from _cell_reasons(cell)


def _cell_reasons(cell: Any) -> Iterator[_Why]:
    name = grade_id(cell)
    for output in cell.outputs:
        if output.output_type == "error":
            said = f"{output.ename}: {output.evalue}"
            yield name, "no mark", float(cell.metadata.nbgrader["points"]), "a mark", said, ""
            return
    for mark in marks_of(cell):
        for one in mark["findings"]:
            if one["points"] < one["most"]:
                lost = round(one["most"] - one["points"], 4)
                yield mark["exercise"], one["part"], lost, one["expected"], one["seen"], one["todo"]


def _columns() -> list[str]:
    return [field.name for field in fields(Reason)]


def _safe_row(reason: Reason) -> list[Any]:
    """Return a row in which no text begins a formula: spreadsheets would run it, and it is a student's."""
    return [
        f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
        for value in astuple(reason)
    ]


def _page(reasons: Sequence[Reason]) -> str:
    totals = {(one.student, one.lesson): (one.points, one.most) for one in reasons}
    summary = _table(
        ["student", "lesson", "points"],
        [[student, lesson, f"{got:g} of {most:g}"] for (student, lesson), (got, most) in totals.items()],
    )
    rows = [[_text(value) for value in astuple(one)] for one in reasons]
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Grades and reasons</title>'
        f"<style>{_STYLE}</style><h1>Grades and reasons</h1><h2>Points</h2>{summary}"
        f"<h2>Reasons</h2>{_table(_columns(), rows)}</html>\n"
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>\n" for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}</table>"
