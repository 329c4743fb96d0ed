"""Every error that labkit raises on purpose.

    LabError                 exit status 1   the work failed
    ├── RequestError                     2   the request was wrong: usage, an unknown mode or Service
    │   └── SpecError                    2   a manifest was wrong: all its mistakes, each with its place
    ├── CapabilityError                  3   no Linux here can run the lab
    ├── GuestError                       1   the lab's Linux did not start, or died
    ├── BuildError                       1   the network could not be built
    ├── ProgramError                     1   the kernel refused a rule, set or virtual server
    └── TrafficError                     1   a backend or a client could not do its work

Each one says three things: what happened, where, and what to do about it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence


class LabError(Exception):
    """What happened (`message`), where, and what to do (`todo`)."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the error as the lines a user reads: what, then where, then what to do."""
        lines = [self.message]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.todo:
            lines.append(f"  to do: {self.todo}")
        return lines

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: a learner sees the error's own lines instead of a traceback.
        return [f"{type(self).__name__}: {self}"]


class RequestError(LabError):
    """What was asked for cannot be asked for: the request is wrong, not the machine."""

    exit_status = 2


class Mistake(Record):
    """One mistake in a file. `place` is `file:line:column`."""

    place: str
    message: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.todo})" if self.todo else "")


class SpecError(RequestError):
    """A manifest or configuration with mistakes: all of them, in the order of the file."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        super().__init__(f"{count} mistake{'s' if count != 1 else ''} in what you wrote")

    def lines(self) -> list[str]:
        """Return the count of mistakes, then a line for each."""
        return [f"{self.message}:", *(f"  {mistake}" for mistake in self.mistakes)]


class CapabilityError(LabError):
    """Something that the lab needs is not on this machine; `todo` is the command that brings it."""

    exit_status = 3


class GuestError(LabError):
    """The lab's Linux did not start, or ended before its work did."""


class BuildError(LabError):
    """The kernel refused a part of the network."""


class ProgramError(LabError):
    """The kernel refused a rule, a set or a virtual server: which one, and its own words."""


class TrafficError(LabError):
    """A backend or a client could not do its work."""


def encode_error(error: LabError) -> bytes:
    """Return an error as JSON, for another process; a SpecError goes as the RequestError that it is."""
    kind = type(error) if type(error) in LabError.__subclasses__() else RequestError
    message = error.message if kind is type(error) else "\n".join(error.lines())
    return json.dumps(
        {"error": kind.__name__, "message": message, "where": error.where, "todo": error.todo}
    ).encode()


def decode_error(data: bytes) -> LabError:
    """Return the error that `encode_error` wrote. Raises ValueError where the bytes are none."""
    value = json.loads(data)
    kinds = {kind.__name__: kind for kind in LabError.__subclasses__()}
    if not isinstance(value, dict) or value.get("error") not in kinds:
        raise ValueError("this is no error of labkit's")
    return kinds[value["error"]](value["message"], where=value["where"], todo=value["todo"])
