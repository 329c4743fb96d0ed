"""A class is graded: submissions run in parallel, each in fresh guests; one gradebook, nbgrader's.

Executing is all that takes time, and does not touch the gradebook; so processes of a pool execute, and this
one lets nbgrader's own Autograde enter what came of it, student by student. What was executed before is not
executed again: an interrupted grading goes on where it was.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.course.courseconfig import load_config, require_nbgrader
from labkit.course.executing import DATABASE, SUBMITTED, Submission, execute_submission
from labkit.course.root import lesson_reference
from labkit.errors import RequestError
from labkit.grade.desk import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Graded:
    """What came of one submission; `trouble` is why it could not be executed or entered, "" where it could."""

    student: str
    points: float
    most: float
    trouble: str


def find_submissions(root: Path, lesson: str) -> tuple[Submission, ...]:
    """Return the submissions of a lesson, by student. Raises RequestError where there is none."""
    lesson_reference(root, lesson)
    folders = sorted(root.glob(f"{SUBMITTED}/*/{lesson}"))
    if not folders:
        raise RequestError(
            f"nobody has submitted {lesson}",
            where=str(root / SUBMITTED),
            todo=f"put notebooks there: {SUBMITTED}/STUDENT/{lesson}/{lesson}.ipynb",
        )
    return tuple(Submission(root, lesson, folder.parent.name) for folder in folders)


def grade_class(
    submissions: Sequence[Submission], jobs: int, on_progress: Progress | None = None
) -> tuple[Graded, ...]:
    """Grade the submissions of one lesson, `jobs` at a time; return what came of each, by student.

    Raises RequestError for a lesson that nbgrader refuses, CapabilityError where nbgrader is not installed.
    """
    require_nbgrader()
    gradebook = Gradebook(submissions[0].root, submissions[0].lesson)
    graded = []
    for done, (submission, trouble) in enumerate(_executed(submissions, jobs), 1):
        graded.append(gradebook.enter(submission, trouble))
        if on_progress is not None:
            on_progress(done, len(submissions), submission.student)
    return tuple(sorted(graded, key=lambda one: one.student))


def _executed(submissions: Sequence[Submission], jobs: int) -> Iterator[tuple[Submission, str]]:
    # Fresh processes: nbclient, nbgrader and their event loops are one submission's at a time.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = {pool.submit(execute_submission, one): one for one in submissions}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class Gradebook:
    """nbgrader's gradebook of a course root, for one lesson."""

    def __init__(self, root: Path, lesson: str) -> None:
        """Enter the lesson. Raises RequestError where nbgrader refuses it."""
        from nbgrader.converters import GenerateAssignment

        self.root, self.lesson = root, lesson
        self.config = load_config(root / CONFIG_FILE)
        said = self._run(GenerateAssignment, self.config)
        if not said["success"]:
            raise RequestError(
                f"nbgrader refuses the lesson: {_last_words(said)}",
                where=str(lesson_reference(root, lesson)),
                todo="labkit course check names what is wrong with its source",
            )

    def enter(self, submission: Submission, trouble: str) -> Graded:
        """Let nbgrader enter the marks of an executed submission; a trouble leaves it out of the gradebook."""
        if submission.executed.exists():
            said = self._autograde(submission)
            trouble = trouble or ("" if said["success"] else _last_words(said))
        points, most = self._score(submission.student)
        return Graded(submission.student, points, most, trouble)

    def _autograde(self, submission: Submission) -> Any:
        from nbgrader.converters import Autograde
        from nbgrader.preprocessors import Execute

        from labkit.course.gradingsteps import TakeExecuted

        config = self.config.copy()
        config.Autograde.autograde_preprocessors = [
            TakeExecuted if step is Execute else step for step in config.Autograde.autograde_preprocessors
        ]
        config.TakeExecuted.executed = str(submission.executed)
        return self._run(Autograde, config, submission.student)

    def _score(self, student: str) -> tuple[float, float]:
        from nbgrader.api import Gradebook as Database
        from nbgrader.api import MissingEntry

        with Database(f"sqlite:///{self.root / DATABASE}") as database:
            try:
                entered = database.find_submission(self.lesson, student)
            except MissingEntry:
                return 0.0, float(database.find_assignment(self.lesson).max_score)
            return float(entered.score), float(entered.max_score)

    def _run(self, converter: Any, config: Any, student: str = ".") -> Any:
        from nbgrader.coursedir import CourseDirectory
        from nbgrader.utils import capture_log

        course = CourseDirectory(
            config=config, root=str(self.root), assignment_id=self.lesson, student_id=student
        )
        return capture_log(converter(coursedir=course, config=config, force=True))


def _last_words(said: Any) -> str:
    lines = str(said.get("error") or said.get("log") or "").strip().splitlines()
    return lines[-1] if lines else "without a word"
