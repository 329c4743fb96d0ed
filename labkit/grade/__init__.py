"""7 GRADE: exercises, the draw that each student gets, and marks that no learner's interpreter can reach.

A mark is made in three steps, the same ones in a learner's own notebook and when a class is graded:

    draw     key of the student, exercise   ->  what is given    pure (`draws.py`)
    answer   what the learner's cells left  ->  data, as JSON    in the learner's interpreter (`answering.py`)
    judge    what is given, the answer      ->  Mark             in a fresh guest that never ran a learner's
                                                                 code (`marking.py`)

Nothing that the learner's interpreter says is believed: its answer is data (text of tables, numbers), which
is put into a network built anew and tried there. To forge a right answer is to give one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PUBLIC = dict.fromkeys(("check", "draw", "open_lab"), "labkit.grade.guidance")
__all__ = ["check", "draw", "open_lab"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
