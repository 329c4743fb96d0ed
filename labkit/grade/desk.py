"""The desk: what a grading session's launcher, outside every guest, asks of grading.

For a test cell the launcher

1. recognises its source: `find_tested(source)` gives the exercise, None for any other cell;
2. does not send the source to the learner's kernel, but a silent request with the user expression
   `{ANSWER: answer_expression(exercise)}`, bounded in time; all that this prints is dropped;
3. `read_answer(reply)` takes the answer from the execute_reply (None: there is none, for whatever reason);
4. runs `plan_marking(exercise, key, answer)` as a job: a fresh guest, no folder of which the learner's guest
   can write to; `read_mark(reply)` of `labkit.grade.mark` is the Mark;
5. answers the cell with one execute_result, whose data are `mark.to_bundle()`; nothing else, no stderr.
   Where there is no mark: an error, which nbgrader counts as 0.

The environment of the learner's kernel holds LABKIT_DRAW_KEY = `sitting.key`.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.grade.draws import draw_seed, student_key
from labkit.grade.exercise import find_exercise
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME
from labkit.guest.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANSWER = "answer"
ANSWER_MIME = "application/vnd.labkit.answer+json"
MOST_ANSWER_BYTES = 256 * 1024
SECRET_FILE = "secret"  # noqa: S105  a file's name
CONFIG_FILE = "nbgrader_config.py"
_TEST_CELL = re.compile(r'\s*check\("([0-9]{2}(?:-[a-z0-9]+)+)"\)\s*')
_MARKING = (sys.executable, "-I", "-m", "labkit.grade.marking")


@dataclass(frozen=True, slots=True)
class Sitting:
    """Whose submission is graded, and the key of that student's draws."""

    student: str
    key: str


def find_tested(source: str) -> str | None:
    """Return the exercise whose test cell has exactly this source, None where it is no test cell."""
    found = _TEST_CELL.fullmatch(source)
    return found.group(1) if found else None


def read_sitting(folder: Path) -> Sitting:
    """Return whose submission lies in `folder` (COURSE/autograded/STUDENT/LESSON, as nbgrader has it).

    Raises RequestError where that is no submission's folder of a course root with a secret.
    """
    student, root = folder.parent.name, folder.parent.parent.parent
    try:
        secret = bytes.fromhex((root / SECRET_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise RequestError(
            f"no course's secret can be read here ({error})",
            where=str(root / SECRET_FILE),
            todo="grade inside a course root that `labkit course build` made",
        ) from error
    return Sitting(student, student_key(secret, student))


def answer_expression(exercise: str) -> str:
    """Return what the learner's kernel is asked to evaluate."""
    return f"__import__('labkit.grade.answering', fromlist=['answer']).answer({exercise!r})"


def read_answer(reply: Mapping[str, Any]) -> str | None:
    """Return the answer (JSON text) in the content of an execute_reply, None where it holds none."""
    try:
        answer = reply["user_expressions"][ANSWER]["data"][ANSWER_MIME]
    except (KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) and len(answer) <= MOST_ANSWER_BYTES else None


def plan_marking(exercise: str, key: str, answer: str | None) -> Job:
    """Return the job that judges an answer. Raises RequestError for an exercise that there is not."""
    request = {"exercise": exercise, "seed": draw_seed(key, exercise), "answer": answer}
    virtual = find_exercise(exercise).clock == "virtual"
    return Job(
        name=f"marking {exercise}",
        argv=_MARKING,
        request=json.dumps(request).encode(),
        timing=VIRTUAL_TIME if virtual else REAL_TIME,
    )
