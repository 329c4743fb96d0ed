"""What an exercise is: a draw, a form of answer, and a judge.

Each one is a module of `labkit/grade/exercises/` with a constant EXERCISE; `find_exercise("02-by-hand")`
finds `exercises/e02_by_hand.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.grade.draws import draw_random

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from labkit.grade.mark import Finding
    from labkit.guest.clock import Clock
    from labkit.lab import Lab

    Given = Mapping[str, Any]  # what a draw gives; JSON's kinds only

NAME = re.compile(r"[0-9]{2}(-[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class Variable:
    """The answer is the value (JSON's kinds) of a variable of the notebook."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """The answer is a function of the notebook: what it returns (JSON's kinds) for each of `cases` draws.

    It is called with the parts of the draw that `takes` names, as keywords.
    """

    name: str
    takes: tuple[str, ...]
    cases: int = 1


@dataclass(frozen=True, slots=True)
class NodeTables:
    """The answer is what stands in a node's kernel: its tables as text (`replay.SAVING` says how)."""

    node: str


AnswerForm = Variable | Function | NodeTables


@dataclass(frozen=True, slots=True)
class Exercise:
    """One graded exercise.

    `plan_draw` makes what is given from random numbers; keys that begin with `_` are for the judge alone.
    `judge(given, answer)` runs in a fresh guest and yields a Finding for each part, with `points` in all. For
    a Variable `answer` is its value, for NodeTables a mapping (by the names of `replay.SAVING`); for a
    Function `judge` is called once for each case and the findings of the worst case count. `answer` comes
    from the learner: it may be anything that JSON can say. A RequestError of the judge's says that it cannot
    be tried, and is a mark of 0. `clock` is that of the fresh guest. `prepare(given, lab)` makes a
    learner's lab what the exercise is about, where the manifest alone does not.
    """

    name: str
    points: float
    plan_draw: Callable[[Random], Given]
    form: AnswerForm
    judge: Callable[[Given, Any], Iterable[Finding]]
    clock: Clock = "virtual"
    prepare: Callable[[Given, Lab], None] | None = None

    @property
    def cases(self) -> int:
        """How many draws an answer is tried on."""
        return self.form.cases if isinstance(self.form, Function) else 1

    def draws(self, seed: str) -> tuple[Given, ...]:
        """Return what is given in each case."""
        return tuple(self.plan_draw(draw_random(seed, case)) for case in range(self.cases))


def find_exercise(name: str) -> Exercise:
    """Return the exercise called `name`. Raises RequestError where there is none."""
    module = f"labkit.grade.exercises.e{name.replace('-', '_')}"
    if NAME.fullmatch(name):
        try:
            exercise: Exercise = import_module(module).EXERCISE
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        else:
            return exercise
    raise RequestError(
        f"there is no exercise {name!r}", where="labkit/grade/exercises", todo="correct its name"
    )
