"""What the shipped configuration adds to nbgrader's own steps of grading. Imported where nbgrader is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from labkit.course.cells import FINGERPRINT, REPAIRS, error_output, fingerprint, has_mark, is_test
from labkit.course.lesson import read_notebook
from labkit.course.mending import mend_notebook
from labkit.course.release import without_solutions
from labkit.course.root import lesson_reference
from labkit.errors import GuestError
from labkit.grade.desk import find_tested

NO_MARK = "the check gave no mark: see the cell's other outputs"


class Mend(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no annotations
    """Mends a damaged submission; what was done stands in the notebook's metadata."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Mend `nb` by the lesson in the course root, which nbgrader has made the working directory."""
        reference = reference_notebook(Path.cwd(), resources["nbgrader"]["assignment"])
        mended, repairs = mend_notebook(nb, reference)
        for repair in repairs:
            self.log.warning("%s", repair)
        mended.metadata[REPAIRS] = [str(repair) for repair in repairs]
        return mended, resources


class NoMarkNoPoints(NbGraderPreprocessor):  # type: ignore[misc]
    """An error for every test cell of labkit's without a mark: nbgrader takes silence for success."""

    def preprocess_cell(self, cell: Any, resources: Any, _index: int) -> tuple[Any, Any]:
        """Give a test cell without a mark an error as its output."""
        if is_test(cell) and find_tested(cell.source) and not has_mark(cell):
            cell.outputs = [*cell.outputs, error_output("NoMark", NO_MARK)]
        return cell, resources


class TakeExecuted(NbGraderPreprocessor):  # type: ignore[misc]
    """Instead of Execute: takes the outputs from a notebook that was executed before."""

    executed = Unicode(help="The executed notebook.").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Return the executed notebook. Raises GuestError where it is not the one of this submission."""
        executed = read_notebook(Path(self.executed))
        if executed.metadata.get(FINGERPRINT) != fingerprint(nb):
            raise GuestError("another notebook was executed", where=self.executed, todo="grade it again")
        return executed, resources


@lru_cache(maxsize=32)
def reference_notebook(root: Path, lesson: str) -> Any:
    """Return a lesson of a course root as students get it."""
    return without_solutions(read_notebook(lesson_reference(root, lesson)))
