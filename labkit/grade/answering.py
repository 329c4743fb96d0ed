"""The learner's side of a mark: what the notebook's cells left, as data.

It runs in the learner's own interpreter, so that nothing it says is believed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from labkit.grade.desk import ANSWER_MIME
from labkit.grade.draws import draw_seed, key_here
from labkit.grade.exercise import AnswerForm, Function, NodeTables, Variable, find_exercise
from labkit.grade.replay import SAVING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.grade.exercise import Given

MISSING = "missing"  # why there is no answer, instead of one
VALUE = "value"
COMMAND_TIMEOUT_S = 20.0


class Answer:
    """An answer as JSON text, which travels in an execute_reply under a media type of its own."""

    def __init__(self, text: str) -> None:
        """Hold `text`."""
        self.text = text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {ANSWER_MIME: self.text}


def answer(exercise: str) -> Answer:
    """Return the answer that the notebook's names, or a node's tables, hold now."""
    return Answer(json.dumps(collect_answer(exercise, draw_seed(key_here(), exercise), notebook_names())))


def notebook_names() -> Mapping[str, Any]:
    """Return the names that the notebook's cells (or a script) defined."""
    return vars(sys.modules["__main__"])


def collect_answer(exercise: str, seed: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"value": ...}`, for a Function a list with one such for each case; or `{"missing": why}`."""
    asked = find_exercise(exercise)
    return _collect(asked.form, names, asked.draws(seed))


def _collect(form: AnswerForm, names: Mapping[str, Any], draws: Sequence[Given]) -> dict[str, Any]:
    if isinstance(form, NodeTables):
        return _read_tables(form.node)
    if form.name not in names:
        return {MISSING: f"there is no {form.name!r} in this notebook"}
    if isinstance(form, Variable):
        return _plain(names[form.name])
    return {VALUE: [_call(names[form.name], form, given) for given in draws]}


def _call(function: Any, form: Function, given: Given) -> dict[str, Any]:
    try:
        return _plain(function(**{name: given[name] for name in form.takes}))
    except Exception as error:  # noqa: BLE001  it is the learner's
        return {MISSING: f"{form.name}() raised {type(error).__name__}: {error}"}


def _plain(value: Any) -> dict[str, Any]:
    try:
        return {VALUE: json.loads(json.dumps(value))}
    except (TypeError, ValueError, RecursionError):
        return {MISSING: f"it is a {type(value).__name__}: use numbers, texts, lists and dictionaries only"}


def _read_tables(node: str) -> dict[str, Any]:
    said = {}
    for name, command in SAVING.items():
        argv = ["ip", "netns", "exec", node, *command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
        if done.returncode:
            return {MISSING: f"{' '.join(argv)}: {done.stderr.strip() or 'it failed'}"}
        said[name] = done.stdout
    return {VALUE: said}
