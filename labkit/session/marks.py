"""What a test cell shows: the mark, made in a fresh guest that the notebook never reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import GuestError, LabError
from labkit.grade.desk import plan_marking
from labkit.grade.draws import key_here
from labkit.grade.mark import read_mark
from labkit.guest.jobs import JobPool
from labkit.session.bounds import MARKING_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Output:
    """What a cell shows: the type and the content of one message on iopub; `name` is an error's."""

    type: str
    content: Mapping[str, Any]
    name: str = ""


def error_output(name: str, why: str) -> Output:
    """Return an error as a cell shows it; for a test cell it is 0 points."""
    content = {"ename": name, "evalue": why, "traceback": [f"{name}: {why}"]}
    return Output("error", content, name)


def mark_answer(
    exercise: str,
    key: str | None,
    answer: str | None,
    while_waiting: Callable[[Callable[[], bool], float], bool],
) -> Output:
    """Return what the test cell of `exercise` shows for an answer (JSON text; None: there is none).

    `while_waiting(is_done, seconds)` keeps everything else going until it is done (True) or the time is over.
    """
    try:
        job = plan_marking(exercise, key or key_here({}), answer)
        with JobPool(1) as pool:
            marking = pool.submit(job)
            if not while_waiting(marking.done, MARKING_LIMIT_S):
                pool.cancel()
                raise GuestError(f"no mark came within {MARKING_LIMIT_S:.0f} seconds", todo="grade it again")
            bundle = read_mark(marking.result()).to_bundle()
    except LabError as error:
        return error_output("NoMark", " / ".join(error.lines()))
    return Output("execute_result", {"data": bundle, "metadata": {}})
