"""One submission is executed: in a process and in a folder of its own, without touching the gradebook.

root/submitted/STUDENT/LESSON/   what the student gave; stays as it is
root/running/STUDENT/LESSON/     a copy, in which it runs; all that it may write to; removed afterwards
root/executed/LESSON/STUDENT.ipynb   what came of it
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.course.cells import FINGERPRINT, error_output, fingerprint, is_test
from labkit.course.courseconfig import load_config
from labkit.course.lesson import notebook_text, read_notebook
from labkit.errors import LabError, RequestError
from labkit.grade.desk import CONFIG_FILE, SECRET_FILE, read_sitting
from labkit.grade.draws import KEY_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

RUNNING, EXECUTED, SUBMITTED = "running", "executed", "submitted"
DATABASE = "gradebook.db"
UNCONFINED = "--unconfined"  # to the kernel labkit-grade
_COURSE = "labkit_course"


@dataclass(frozen=True, slots=True)
class Submission:
    """One student's notebook of one lesson, in the course root `root`."""

    root: Path
    lesson: str
    student: str

    @property
    def notebook(self) -> Path:
        """The notebook as the student gave it."""
        return self.root / SUBMITTED / self.student / self.lesson / f"{self.lesson}.ipynb"

    @property
    def running(self) -> Path:
        """The folder in which it runs."""
        return self.root / RUNNING / self.student / self.lesson

    @property
    def executed(self) -> Path:
        """The notebook after it has run."""
        return self.root / EXECUTED / self.lesson / f"{self.student}.ipynb"


def execute_submission(submission: Submission, kernel_arguments: tuple[str, ...] = ()) -> str:
    """Execute a submission unless that was done before; return what went wrong, "" where nothing.

    A notebook that cannot be read, or whose lab did not last, is no reason to stop: what was not executed
    gets no points, and is tried again the next time.
    """
    os.chdir(submission.root)
    config = load_config(submission.root / CONFIG_FILE)
    config.Execute.extra_arguments = list(kernel_arguments)
    try:
        notebook = sanitise(submission, config)
    except LabError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  one submission that nbgrader stumbles over stops no class
        return f"nbgrader refuses it: {_in_short(error)}"
    if is_executed(submission, notebook):
        return ""
    _fill_folder(submission)
    try:
        notebook, trouble = _run(notebook, submission, config)
    finally:
        shutil.rmtree(submission.running, ignore_errors=True)
    notebook.metadata[FINGERPRINT] = fingerprint(notebook)
    notebook.metadata[_COURSE] = "" if trouble else _course(submission.root)
    _write(submission, notebook)
    return trouble


def sanitise(submission: Submission, config: Any) -> Any:
    """Return the submitted notebook after nbgrader's steps that come before execution.

    Raises RequestError for a file that is no notebook, and for links beside it.
    """
    import nbformat

    _require_no_links(submission.notebook.parent)
    notebook = read_notebook(submission.notebook)
    names = {"student": submission.student, "assignment": submission.lesson, "notebook": submission.lesson}
    resources = {"nbgrader": {**names, "db_url": f"sqlite:///{submission.root / DATABASE}"}}
    for step in config.Autograde.sanitize_preprocessors:
        notebook, resources = step(config=config).preprocess(notebook, resources)
    return nbformat.reads(nbformat.writes(notebook), as_version=4)


def is_executed(submission: Submission, notebook: Any) -> bool:
    """Whether what came of just this notebook, with this course's secret and without trouble, is there."""
    if not submission.executed.exists():
        return False
    before = read_notebook(submission.executed).metadata
    return bool(
        before.get(FINGERPRINT) == fingerprint(notebook) and before.get(_COURSE) == _course(submission.root)
    )


def _run(notebook: Any, submission: Submission, config: Any) -> tuple[Any, str]:
    from nbgrader.preprocessors import Execute

    key = read_sitting(submission.running).key
    os.environ.update({KEY_VARIABLE: key, "NBGRADER_EXECUTION": "autograde"})
    resources = {"metadata": {"path": str(submission.running)}}
    try:
        notebook, _ = Execute(config=config).preprocess(notebook, resources)
    except Exception as error:  # noqa: BLE001  a dead kernel, a time-out, a torn message: the submission's own
        trouble = f"its lab did not last: {_in_short(error)}"
        for cell in notebook.cells:
            if is_test(cell) and cell.execution_count is None:
                cell.outputs = [*cell.outputs, error_output("NotExecuted", trouble)]
        return notebook, trouble
    return notebook, ""


def _require_no_links(folder: Path) -> None:
    """Raise RequestError for a symbolic link: nbgrader would copy what it leads to."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise RequestError(
                f"there is a link in the submission: {path.name}",
                where=f"{path} -> {path.readlink()}",
                todo="remove it, or put a file there",
            )


def _fill_folder(submission: Submission) -> None:
    shutil.rmtree(submission.running, ignore_errors=True)
    shutil.copytree(submission.notebook.parent, submission.running, symlinks=True)


def _write(submission: Submission, notebook: Any) -> None:
    submission.executed.parent.mkdir(parents=True, exist_ok=True)
    unfinished = submission.executed.with_suffix(".unfinished")
    unfinished.write_text(notebook_text(notebook), encoding="utf-8")
    unfinished.replace(submission.executed)


def _in_short(error: Exception) -> str:
    (first, *_) = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first[:200]}"


def _course(root: Path) -> str:
    return hashlib.sha256((root / SECRET_FILE).read_bytes()).hexdigest()
