"""A class is graded: submissions run in parallel, each in fresh guests; one gradebook, nbgrader's.

Executing is all that takes time, and does not touch the gradebook; so processes of a pool execute, and this
one lets nbgrader's own Autograde enter what came of it, student by student. What was executed before is not
executed again: an interrupted grading goes on where it was.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.course.courseconfig import load_config, require_nbgrader
from labkit.course.executing import DATABASE, SUBMITTED, Submission, execute_submission
from labkit.course.root import lesson_reference
from labkit.errors import GuestError, RequestError
from labkit.grade.desk import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Graded:
    """What came of one submission; `trouble` is what kept it from execution or the gradebook."""

    student: str
    points: float
    most: float
    trouble: str


def find_submissions(root: Path, lesson: str, students: Sequence[str] = ()) -> tuple[Submission, ...]:
    """Return the submissions of a lesson (only of `students`, if any are named), by student.

    Raises RequestError where there is none.
    """
    lesson_reference(root, lesson)
    folders = sorted(root.glob(f"{SUBMITTED}/*/{lesson}"))
    if students:
        folders = [folder for folder in folders if folder.parent.name in students]
    if not folders:
        raise RequestError(
            f"nobody has submitted {lesson}",
            where=str(root / SUBMITTED),
            todo=f"put notebooks there: {SUBMITTED}/STUDENT/{lesson}/{lesson}.ipynb",
        )
    return tuple(Submission(root, lesson, folder.parent.name) for folder in folders)


def grade_class(
    submissions: Sequence[Submission],
    jobs: int,
    on_progress: Progress | None = None,
    *,
    kernel_arguments: tuple[str, ...] = (),
) -> tuple[Graded, ...]:
    """Grade the submissions of one lesson, `jobs` at a time; return what came of each, by student.

    `kernel_arguments` are for the kernel labkit-grade: UNCONFINED lets it do without a wall. An interrupt
    ends what runs; the next time it goes on with that. Raises RequestError for a lesson that nbgrader
    refuses, CapabilityError where nbgrader is not installed, GuestError where a process was ended.
    """
    require_nbgrader()
    gradebook = Gradebook(submissions[0].root, submissions[0].lesson)
    troubles = {}
    with contextlib.closing(_executed(submissions, jobs, kernel_arguments)) as executed:
        for done, (submission, trouble) in enumerate(executed, 1):
            troubles[submission.student] = gradebook.enter(submission, trouble)
            if on_progress is not None:
                on_progress(done, len(submissions), submission.student)
    scores = find_scores(submissions[0].root)
    return tuple(
        Graded(one.student, *scores.get((one.lesson, one.student), (0.0, 0.0)), troubles[one.student])
        for one in submissions
    )


def _executed(
    submissions: Sequence[Submission], jobs: int, kernel_arguments: tuple[str, ...]
) -> Generator[tuple[Submission, str]]:
    # Fresh processes: nbclient, nbgrader and their event loops are one submission's at a time.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = {pool.submit(execute_submission, one, kernel_arguments): one for one in submissions}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise GuestError(
                "a process that executed a submission was ended from outside",
                where="too little memory, perhaps",
                todo="grade again with fewer --jobs: it goes on where it was",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def find_scores(root: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """Return points and most points by (lesson, student), as nbgrader's gradebook has them now."""
    require_nbgrader()
    from nbgrader.api import Gradebook as Database

    if not (root / DATABASE).is_file():
        return {}
    with Database(f"sqlite:///{root / DATABASE}") as database:
        return {
            (lesson.name, entered.student.id): (float(entered.score), float(entered.max_score))
            for lesson in database.assignments
            for entered in lesson.submissions
        }


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

    def enter(self, submission: Submission, trouble: str) -> str:
        """Let nbgrader enter an executed submission's marks; return what is wrong, "" where nothing is."""
        if submission.executed.exists():
            said = self._autograde(submission)
            trouble = trouble or ("" if said["success"] else _last_words(said))
        return trouble

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

    def _run(self, converter: Any, config: Any, student: str = ".") -> Any:
        from nbgrader.coursedir import CourseDirectory
        from nbgrader.utils import capture_log

        course = CourseDirectory(
            config=config, root=str(self.root), assignment_id=self.lesson, student_id=student
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nbgrader's own use of SQLAlchemy
            return capture_log(converter(coursedir=course, config=config, force=True))


def _last_words(said: Any) -> str:
    lines = str(said.get("error") or said.get("log") or "").strip().splitlines()
    return lines[-1] if lines else "without a word"
