"""Cells of nbgrader's: which are tests, whether they hold a mark, and what names a whole notebook."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from labkit.grade.mark import MARK_MIME

if TYPE_CHECKING:
    from collections.abc import Iterator

REPAIRS = "labkit_repairs"
FINGERPRINT = "labkit_fingerprint"


def grade_id(cell: Any) -> str:
    """Return nbgrader's name of a cell, "" where it has none."""
    nbgrader = cell.metadata.get("nbgrader")
    return str(nbgrader.get("grade_id") or "") if isinstance(nbgrader, dict) else ""


def is_test(cell: Any) -> bool:
    """Whether a cell is code whose output is graded."""
    nbgrader = cell.metadata.get("nbgrader", {})
    graded = bool(nbgrader.get("grade")) and not nbgrader.get("solution")
    return graded and cell.cell_type == "code"


def marks_of(cell: Any) -> Iterator[Any]:
    """Yield the marks (JSON) in a cell's outputs."""
    for output in cell.get("outputs", []):
        if MARK_MIME in output.get("data", {}):
            yield output.data[MARK_MIME]


def has_mark(cell: Any) -> bool:
    """Whether a test cell's outputs hold a mark, and no error."""
    return any(marks_of(cell)) and all(output.output_type != "error" for output in cell.outputs)


def error_output(name: str, why: str) -> Any:
    """Return an error as a cell's output: nbgrader gives no points then."""
    from nbformat.v4 import new_output

    return new_output("error", ename=name, evalue=why, traceback=[f"{name}: {why}"])


def fingerprint(notebook: Any) -> str:
    """Return what names a notebook as it goes to be executed: its cells, without outputs."""
    cells = [[cell.cell_type, cell.source, cell.metadata.get("nbgrader")] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()
