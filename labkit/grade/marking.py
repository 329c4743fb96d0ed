"""The judge's side of a mark: `python -I -m labkit.grade.marking`, in a fresh guest.

It reads `{"exercise", "seed", "answer"}` from standard input (the answer is JSON text from a learner's
interpreter, or null) and writes a Mark as JSON. What it imports is labkit's own; of the learner it sees data.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError, RequestError, encode_error
from labkit.grade.answering import MISSING, VALUE
from labkit.grade.exercise import Exercise, Function, find_exercise
from labkit.grade.mark import Finding, Mark

if TYPE_CHECKING:
    from labkit.grade.exercise import Given

NO_ANSWER = "the notebook gave no answer: its process had ended, or was too slow"


def mark_answer(exercise: str, seed: str, answer: str | None) -> Mark:
    """Return the Mark of an answer (JSON text). Raises LabError where the judge cannot do its work."""
    asked = find_exercise(exercise)
    return Mark(exercise, seed, _judge_all(asked, asked.draws(seed), _parse(answer)))


def _parse(answer: str | None) -> Any:
    if answer is None:
        return {MISSING: NO_ANSWER}
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return {MISSING: "the notebook's answer is no JSON"}


def _judge_all(asked: Exercise, draws: tuple[Given, ...], answer: Any) -> tuple[Finding, ...]:
    if not isinstance(asked.form, Function):
        return _judge(asked, draws[0], answer)
    values = answer.get(VALUE) if isinstance(answer, dict) else None
    if not isinstance(values, list) or len(values) != len(draws):
        return _judge(asked, draws[0], answer if isinstance(answer, dict) else {})
    judged = [_judge(asked, given, value) for given, value in zip(draws, values, strict=True)]
    return min(judged, key=lambda findings: sum(finding.points for finding in findings))


def _judge(asked: Exercise, given: Given, answer: Any) -> tuple[Finding, ...]:
    if not isinstance(answer, dict) or VALUE not in answer:
        why = answer.get(MISSING) if isinstance(answer, dict) else None
        return (_no_answer(asked, why if isinstance(why, str) else NO_ANSWER),)
    try:
        return tuple(asked.judge(given, answer[VALUE]))
    except RequestError as error:  # what the answer asks for cannot be done: the lab is the same for all
        return (
            Finding("answer", 0.0, asked.points, "an answer that can be tried", error.message, error.todo),
        )


def _no_answer(asked: Exercise, why: str) -> Finding:
    return Finding("answer", 0.0, asked.points, "an answer", why, "write one, and run its cell")


def main() -> None:
    """Mark the request in standard input."""
    request = json.loads(sys.stdin.buffer.read())
    try:
        reply = mark_answer(request["exercise"], request["seed"], request["answer"]).to_json()
    except LabError as error:
        reply = encode_error(error)
    sys.stdout.buffer.write(reply)


if __name__ == "__main__":
    main()
