"""A crowd to be graded: `python -m course.crowd COURSE [COUNT]` fills a course root with submissions.

Three of four are right; the others are attempts that lose something, blanks, and damaged notebooks, in turn.
What each should get is written to COURSE/expected.json; `python -m course.crowd COURSE --compare` holds the
gradebook to it.
"""

import json
import random
import sys
from pathlib import Path

from course.attempt import read_attempts
from course.classes import attempted, blank, make_root, solved, submit

from labkit.course.cells import grade_id
from labkit.course.classroom import find_scores

LESSON = "02-by-hand"
MOST = {"00-find-pod": 2.0, "02-by-hand": 6.0}


def faulty(number, chance):
    """A faulty submission and its points."""
    if number % 10 == 8:
        return blank(LESSON), 0.0
    if number % 10 == 9:
        return damaged(chance), sum(MOST.values())
    wrong = [one for one in read_attempts() if one.exercise in MOST and one.points < MOST[one.exercise]]
    chosen = wrong[number % len(wrong)]
    others = sum(points for name, points in MOST.items() if name != chosen.exercise)
    return attempted(LESSON, str(chosen)), chosen.points + others


def damaged(chance):
    notebook = solved(LESSON)
    cell = chance.choice([cell for cell in notebook.cells if grade_id(cell)])
    if grade_id(cell).startswith("check-") and chance.random() < 0.5:
        notebook.cells.remove(cell)
    else:
        cell.metadata.clear()
    return notebook


def fill(root, count):
    """Fill a new course root at `root` with `count` submissions."""
    make_root(root)
    chance, expected = random.Random(7), {}
    for number in range(count):
        student = f"student-{number + 1:03}"
        is_right = number % 4 != 3
        notebook, points = (solved(LESSON), sum(MOST.values())) if is_right else faulty(number // 4, chance)
        submit(root, student, LESSON, notebook)
        expected[student] = points
    (root / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


def compare(root):
    """Return what differs from what was expected: `student: got, not expected`."""
    expected = json.loads((root / "expected.json").read_text(encoding="utf-8"))
    got = {student: points for (_, student), (points, _) in find_scores(root).items()}
    return [
        f"{student}: {got.get(student)}, not {points}"
        for student, points in expected.items()
        if got.get(student) != points
    ]


def main():
    root, words = Path(sys.argv[1]), sys.argv[2:]
    if words == ["--compare"]:
        differences = compare(root)
        sys.stdout.write(("\n".join(differences) or "every submission got what it should") + "\n")
        sys.exit(bool(differences))
    fill(root, int(words[0]) if words else 200)


if __name__ == "__main__":
    main()
