"""What students get: notebooks without solutions, as nbgrader's generate_assignment makes them, and zips."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

from labkit.course.courseconfig import load_config, require_nbgrader
from labkit.course.lesson import lesson_sources, notebook_text, plan_student_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same notebook gives the same zip


def without_solutions(notebook: Any) -> Any:
    """Return an instructor's notebook as students get it.

    The steps and their order are those of nbgrader's GenerateAssignment, without the gradebook.
    """
    require_nbgrader()
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import SaveCells

    config = load_config()
    resources: dict[str, Any] = {"nbgrader": {}}
    for step in GenerateAssignment(config=config).preprocessors:
        if step is not SaveCells:
            notebook, resources = step(config=config).preprocess(notebook, resources)
    return notebook


def write_notebooks(sources: Path, output: Path) -> list[Path]:
    """Write a student's notebook for every lesson's source in `sources`; return the files."""
    written = []
    for lesson in lesson_sources(sources):
        path = output / f"{lesson.stem}.ipynb"
        path.write_text(notebook_text(plan_student_notebook(lesson)), encoding="utf-8")
        written.append(path)
    return written


def write_zips(notebooks: Sequence[Path], output: Path) -> list[Path]:
    """Write a zip for each notebook, LESSON/LESSON.ipynb in it; return the files."""
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for notebook in notebooks:
        path = output / f"{notebook.stem}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo(f"{notebook.stem}/{notebook.name}", _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, notebook.read_bytes())
        written.append(path)
    return written
