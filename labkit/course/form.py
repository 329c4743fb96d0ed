"""The form of a lesson: what every lesson has, looked for in its text alone. Pure but for links."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from labkit.course.cells import grade_id, is_test
from labkit.course.lesson import plan_notebook, plan_student_notebook
from labkit.errors import LabError
from labkit.grade.desk import find_tested
from labkit.grade.exercise import find_exercise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_LINES = 12
MOST_MEDIAN_LINES = 4
LEAST_PROSE = 8  # words for each line of code
OBJECTIVES = range(3, 6)

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(\s*<?([^)\s>]+)[^)]*\)")
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*["'][^"']+["']""", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_OBJECTIVE = re.compile(r"^[0-9]+\. ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a lesson: where (a cell's number, from 1; 0: the whole), what, and what to do."""

    lesson: str
    cell: int
    what: str
    todo: str

    def __str__(self) -> str:
        place = f"{self.lesson}, cell {self.cell}" if self.cell else self.lesson
        return f"{place}: {self.what} ({self.todo})"


def check_form(source: Path) -> tuple[Complaint, ...]:
    """Return what is wrong with the form of a lesson's source."""
    notebook = plan_notebook(source)
    found = [
        *_check_first_cell(notebook),
        *_check_headings(notebook),
        *_check_sizes(notebook),
        *_check_end(notebook),
        *_check_links(notebook, source.parent.parent),
        *_check_exercises(notebook),
    ]
    if not any(what.startswith("its metadata") for _, what, _ in found):
        found += _check_student_version(source)
    return tuple(Complaint(source.stem, cell, what, todo) for cell, what, todo in found)


_Found = tuple[int, str, str]


def _check_first_cell(notebook: Any) -> Iterator[_Found]:
    first = notebook.cells[0]
    text = first.source if first.cell_type == "markdown" else ""
    title = text.partition("\n")[0]
    if not title.startswith("# ") or "?" not in title:
        yield 1, "it does not begin with a question as its title", "write `# Who ...?` in the first cell"
    for words in ("**Time:**", "**You need:**"):
        if words not in text:
            yield 1, f"there is no {words}", "say in the first cell how long it takes and what one must know"
    count = len(_OBJECTIVE.findall(text))
    if count not in OBJECTIVES:
        yield 1, f"there are {count} objectives", "number three to five in the first cell: 1. ..., 2. ..."


def _check_headings(notebook: Any) -> Iterator[_Found]:
    for number, cell in _cells(notebook, "markdown"):
        if number > 1 and any(line.startswith("# ") for line in cell.source.splitlines()):
            yield number, "there is a second title", "use ## for headings: one # in a lesson"


def _check_sizes(notebook: Any) -> Iterator[_Found]:
    code = [(number, _lines(cell)) for number, cell in _cells(notebook, "code") if not is_test(cell)]
    for number, lines in code:
        if lines > MOST_LINES:
            yield number, f"the cell has {lines} lines", f"at most {MOST_LINES}: divide it"
    if code and median(lines for _, lines in code) > MOST_MEDIAN_LINES:
        yield 0, "its cells are long", f"half of them at most {MOST_MEDIAN_LINES} lines"
    words = sum(len(_WORD.findall(cell.source)) for _, cell in _cells(notebook, "markdown"))
    given = sum(_lines(cell) for _, cell in _cells(notebook, "code") if not grade_id(cell))
    if words < LEAST_PROSE * given:
        yield 0, "there is little prose", f"at least {LEAST_PROSE} words for each line of code that is given"


def _check_end(notebook: Any) -> Iterator[_Found]:
    sources = [cell.source for _, cell in _cells(notebook, "code")]
    opens = any("Lab.open(" in source for source in sources)
    if opens and not any(".reset(" in source or ".close(" in source for source in sources[-2:]):
        yield len(notebook.cells), "its end leaves the lab as it is", "end with a cell that calls lab.reset()"


def _check_links(notebook: Any, folder: Path) -> Iterator[_Found]:
    for number, cell in _cells(notebook, "markdown"):
        for is_image, text, target in _LINK.findall(cell.source):
            if not text.strip():
                what = "a picture has no alternative text" if is_image else f"a link to {target} has no words"
                yield number, what, "write between the brackets what it shows, or where it leads"
            if (
                not re.match(r"https://|mailto:|#", target)
                and not (folder / target.partition("#")[0]).exists()
            ):
                yield number, f"the link {target} leads nowhere", "a file beside the notebook, or https://"
        for image in _IMAGE.findall(cell.source):
            if not _ALT.search(image):
                yield number, "a picture has no alternative text", 'write alt="what it shows"'


def _check_exercises(notebook: Any) -> Iterator[_Found]:
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        metadata = cell.metadata.get("nbgrader")
        if metadata is None:
            continue
        if why := _metadata_fault(cell):
            yield number, f"its metadata are wrong: {why}", "copy those of a cell that is right"
            continue
        if grade_id(cell) in seen:
            yield (
                number,
                f"its metadata are wrong: {grade_id(cell)} comes twice",
                "each grade_id is one cell's",
            )
        seen.add(grade_id(cell))
        if is_test(cell):
            yield from _check_test(number, cell)
        elif metadata.get("solution") and "### BEGIN SOLUTION" not in cell.source:
            yield number, "there is no solution to take out", "### BEGIN SOLUTION ... ### END SOLUTION"


def _check_test(number: int, cell: Any) -> Iterator[_Found]:
    name = find_tested(cell.source)
    if name is None:
        yield number, "a test cell is not one check", 'write check("NN-name") and nothing else'
        return
    try:
        exercise = find_exercise(name)
    except LabError as error:
        yield number, error.message, error.todo
        return
    points = cell.metadata.nbgrader["points"]
    if points != exercise.points:
        yield number, f"it gives {points} points, {name} has {exercise.points:g}", "write the same in both"


def _metadata_fault(cell: Any) -> str:
    from nbgrader.nbgraderformat import MetadataValidator

    try:
        MetadataValidator().validate_cell(cell)
    except Exception as error:  # noqa: BLE001  nbgrader raises whatever it meets
        return str(error).splitlines()[0]
    return ""


def _check_student_version(source: Path) -> Iterator[_Found]:
    from IPython.core.inputtransformer2 import TransformerManager

    for number, cell in _cells(plan_student_notebook(source), "code"):
        if "SOLUTION" in cell.source:
            yield number, "students would see a part of the solution", "one BEGIN and END SOLUTION for each"
        try:
            ast.parse(TransformerManager().transform_cell(cell.source))
        except SyntaxError as error:
            yield (
                number,
                f"without its solution it is no Python: {error.msg}",
                "give the function a docstring",
            )


def _cells(notebook: Any, cell_type: str) -> Iterator[tuple[int, Any]]:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == cell_type:
            yield number, cell


def _lines(cell: Any) -> int:
    return len([line for line in cell.source.splitlines() if "### " not in line])
