"""Classes for the tests of grading: course roots, and submissions made from the lesson and attempts."""

import copy
import json
from pathlib import Path

from course.attempt import read_attempts

from labkit.course.cells import grade_id
from labkit.course.lesson import plan_notebook, plan_student_notebook
from labkit.course.root import build_root

SOURCES = Path(__file__).with_name("source")
ATTEMPTS = {str(attempt): attempt for attempt in read_attempts()}


def make_root(root):
    build_root(SOURCES, root)
    return root


def solved(lesson):
    """The lesson with its solutions: what a student hands in who got everything right."""
    return plan_notebook(SOURCES / f"{lesson}.py")


def blank(lesson):
    return plan_student_notebook(SOURCES / f"{lesson}.py")


def attempted(lesson, *attempts):
    """The lesson with attempts (`02-by-hand/no-output`) in their answer cells, solutions in the others."""
    notebook = copy.deepcopy(solved(lesson))
    for name in attempts:
        attempt = ATTEMPTS[name]
        (cell,) = (cell for cell in notebook.cells if grade_id(cell) == attempt.exercise)
        cell.source = attempt.source
    return notebook


def submit(root, student, lesson, notebook):
    folder = root / "submitted" / student / lesson
    folder.mkdir(parents=True)
    text = notebook if isinstance(notebook, str) else json.dumps(notebook)
    (folder / f"{lesson}.ipynb").write_text(text, encoding="utf-8")
