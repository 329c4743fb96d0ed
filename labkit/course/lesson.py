"""A lesson's source (jupytext's percent format) becomes the notebook that learners open."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

KERNELSPEC = {"display_name": "Lab", "language": "python", "name": "labkit"}
ID_LENGTH = 12


def lesson_sources(folder: Path) -> tuple[Path, ...]:
    """Return the lessons' sources in `folder`, in the course's order; RequestError if there are none."""
    sources = tuple(sorted(folder.glob("[0-9][0-9]-*.py")))
    if not sources:
        raise RequestError(
            "there are no lessons here", where=str(folder), todo="name the folder that holds NN-name.py files"
        )
    return sources


def plan_notebook(source: Path) -> Any:
    """Return the notebook (an nbformat 4.5 node) of a lesson's source: no outputs, always the same ids."""
    import jupytext

    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id") or _cell_id(source.stem, number)
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def notebook_text(source: Path) -> str:
    """Return the notebook of a lesson's source as the text of its .ipynb file."""
    import nbformat

    notebook = plan_notebook(source)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def _cell_id(lesson: str, number: int) -> str:
    return hashlib.sha256(f"{lesson}/{number}".encode()).hexdigest()[:ID_LENGTH]
