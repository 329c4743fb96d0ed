"""One submitted file is mended, by the lesson of its course root that has its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import notebook_text, read_notebook
from labkit.course.mending import mend_notebook
from labkit.course.release import without_solutions
from labkit.course.root import find_root, lesson_reference

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.course.mending import Repair


def repair_file(file: Path, course: Path, output: Path) -> tuple[Repair, ...]:
    """Mend the notebook in `file` by the course root around `course`, write it to `output` if it was damaged.

    Raises RequestError for what is no notebook, no course root, or no lesson of the course.
    """
    notebook = read_notebook(file)
    reference = without_solutions(read_notebook(lesson_reference(find_root(course), file.stem)))
    mended, repairs = mend_notebook(notebook, reference)
    if repairs or output != file:
        text = notebook_text(mended)
        unfinished = output.with_suffix(".unfinished")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(output)
    return repairs
