"""An attempt at an exercise: the answer cell's source, and what it should earn, in a file of its own.

tests/course/attempts/EXERCISE/NAME.py or .sh     its first line: # points: 5, lost: PART, PART
"""

import contextlib
import io
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labkit.grade.answering import collect_answer
from labkit.grade.draws import KEY_VARIABLE, draw_seed, student_key
from labkit.grade.guidance import draw, open_lab
from labkit.grade.marking import mark_answer

ATTEMPTS = Path(__file__).with_name("attempts")
_HEAD = re.compile(r"# points: ([0-9.]+)(?:, lost: (.+))?")


@dataclass(frozen=True)
class Attempt:
    exercise: str
    path: Path
    points: float
    lost: tuple[str, ...]

    def __str__(self):
        return f"{self.exercise}/{self.path.stem}"

    @property
    def source(self):
        """The answer cell's source, as a notebook has it."""
        text = self.path.read_text(encoding="utf-8")
        return f"%%bash\n{text}" if self.path.suffix == ".sh" else text


def read_attempts():
    return [_read(path) for path in sorted(ATTEMPTS.glob("*/*.*"))]


def _read(path):
    points, lost = _HEAD.match(path.read_text(encoding="utf-8")).groups()
    return Attempt(path.parent.name, path, float(points), tuple(lost.split(", ")) if lost else ())


def mark_attempt(attempt, student):
    """The mark of an attempt with a student's draw: in this guest, in this process."""
    key = student_key(b"the secret of these tests", student)
    os.environ[KEY_VARIABLE] = key  # as in the learner's kernel of a grading session
    seed = draw_seed(key, attempt.exercise)
    return mark_answer(attempt.exercise, seed, json.dumps(_answer(attempt, seed)))


def _answer(attempt, seed):
    task = draw(attempt.exercise)
    with contextlib.ExitStack() as stack:
        names = {"task": task}
        if "manifest" in dir(task):
            names["lab"] = stack.enter_context(open_lab(attempt.exercise))
        if attempt.path.suffix == ".sh":
            task.export()
            subprocess.run(["bash", attempt.path], env=os.environ, check=True)
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(attempt.source, names)
        return collect_answer(attempt.exercise, seed, names)
