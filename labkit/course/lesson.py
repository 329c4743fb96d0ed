"""A lesson's source (jupytext's percent format) becomes notebooks: the instructor's, and the learners'."""

from __future__ import annotations

import hashlib
import warnings
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
    """Return the instructor's notebook (an nbformat 4.5 node) of a lesson's source: solutions, no outputs.

    A cell of nbgrader's has its grade_id as its id, any other one made from the lesson and its place: the
    same source always gives the same ids.
    """
    import jupytext

    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id") or _cell_id(source.stem, number)
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def plan_student_notebook(source: Path) -> Any:
    """Return the learners' notebook of a lesson's source: no solutions; the cells of tests are locked.

    Raises CapabilityError where the lesson has exercises and nbgrader is not installed.
    """
    notebook = plan_notebook(source)
    if not any("nbgrader" in cell.metadata for cell in notebook.cells):
        return notebook
    from labkit.course.release import without_solutions

    return without_solutions(notebook)


def notebook_text(notebook: Any) -> str:
    """Return a notebook as the text of its .ipynb file."""
    import nbformat

    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def read_notebook(path: Path) -> Any:
    """Return the notebook in a file. Raises RequestError where it cannot be read as one."""
    import nbformat
    from nbformat.reader import NotJSONError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ids that are missing or come twice: nbformat gives new ones
            return nbformat.read(path, as_version=4)
    except (OSError, NotJSONError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"this is no notebook: {str(error).splitlines()[0][:120]}",
            where=str(path),
            todo="open it in JupyterLab and save it again, or ask for the student's own copy",
        ) from error


def _cell_id(lesson: str, number: int) -> str:
    return hashlib.sha256(f"{lesson}/{number}".encode()).hexdigest()[:ID_LENGTH]
