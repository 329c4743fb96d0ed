"""A lesson is rehearsed: run from top to bottom, twice in a row in one session, with its solutions in it."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.course.cells import is_test, marks_of
from labkit.course.form import Complaint
from labkit.course.lesson import plan_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CELL_BUDGET_S = 10.0
LESSON_BUDGET_S = 180.0
PATIENCE = 12  # a cell that needs so many times its budget is given up
ROUNDS = 2

_PICTURE = re.compile(r"<(svg|img)\b[^>]*>(?:\s*<title>)?", re.IGNORECASE)
_TOLD = re.compile(r"\b(aria-label|aria-labelledby|alt|aria-hidden)\s*=|<title>", re.IGNORECASE)


@dataclass(slots=True)
class Rehearsal:
    """What a lesson's run showed: the notebook with its outputs, and each round's seconds by cell."""

    lesson: str
    notebook: Any
    seconds: list[dict[int, float]] = field(default_factory=list)


def rehearse(source: Path, kernel: str = "labkit") -> Rehearsal:
    """Run a lesson with its solutions, ROUNDS times in one session. Errors stand in its cells."""
    from nbclient import NotebookClient

    notebook = plan_notebook(source)
    size = len(notebook.cells)
    notebook.cells = [cell.copy() for _ in range(ROUNDS) for cell in notebook.cells]
    begun: dict[int, float] = {}
    rehearsal = Rehearsal(source.stem, notebook, [{} for _ in range(ROUNDS)])

    def begin(cell: Any, cell_index: int) -> None:  # noqa: ARG001  nbclient names them
        begun[cell_index] = time.monotonic()

    def end(cell: Any, cell_index: int, execute_reply: Any) -> None:  # noqa: ARG001
        seconds = time.monotonic() - begun[cell_index]
        rehearsal.seconds[cell_index // size][cell_index % size + 1] = seconds

    with tempfile.TemporaryDirectory(prefix="labkit-lesson-") as folder:
        NotebookClient(
            notebook,
            timeout=round(CELL_BUDGET_S * PATIENCE),
            startup_timeout=120,
            kernel_name=kernel,
            allow_errors=True,
            resources={"metadata": {"path": folder}},
            on_cell_execute=begin,
            on_cell_executed=end,
        ).execute()
    return rehearsal


def check_outputs(rehearsal: Rehearsal) -> tuple[Complaint, ...]:
    """Return what a lesson's outputs show to be wrong, whatever the machine's speed."""
    size = len(rehearsal.notebook.cells) // ROUNDS
    found = []
    for place, cell in enumerate(rehearsal.notebook.cells):
        again = " the second time" if place >= size else ""
        for what, todo in _faults(cell):
            found.append(Complaint(rehearsal.lesson, place % size + 1, what + again, todo))
    return tuple(found)


def check_times(rehearsal: Rehearsal) -> tuple[Complaint, ...]:
    """Return which cells took longer than they may, and whether the lesson did: its better round counts."""
    found = []
    rounds = rehearsal.seconds
    for cell in rounds[0]:
        best = min(seconds.get(cell, float("inf")) for seconds in rounds)
        if best > CELL_BUDGET_S:
            what = f"the cell took {best:.1f} s"
            found.append(
                Complaint(rehearsal.lesson, cell, what, f"at most {CELL_BUDGET_S:.0f} s: do less in it")
            )
    total = min(sum(seconds.values()) for seconds in rounds)
    if total > LESSON_BUDGET_S:
        todo = f"at most {LESSON_BUDGET_S:.0f} s"
        found.append(Complaint(rehearsal.lesson, 0, f"the lesson's cells took {total:.0f} s", todo))
    return tuple(found)


def _faults(cell: Any) -> Iterator[tuple[str, str]]:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            yield f"it ends in {output.ename}: {output.evalue[:200]}", "mend it"
        elif output.get("name") == "stderr":
            yield (
                f"it writes to stderr: {output.text[:200]!r}",
                "keep stderr clean: nbgrader counts it as an error",
            )
        if untold := _untold_picture(output.get("data", {})):
            yield f"its {untold} has no alternative text", "give it an aria-label, an alt or a text beside it"
    if is_test(cell):
        points = [finding["points"] for mark in marks_of(cell) for finding in mark["findings"]]
        if sum(points) != cell.metadata.nbgrader["points"]:
            yield f"its solution earns {sum(points):g} points", "all of them: mend the solution or the check"


def _untold_picture(data: Any) -> str:
    markup = "".join(data.get("text/html", ""))
    untold = [picture[1].lower() for picture in _PICTURE.finditer(markup) if not _TOLD.search(picture[0])]
    if untold:
        return untold[0]
    return "picture" if "image/png" in data and len(data) == 1 else ""
