"""A submitted notebook that was damaged is mended: what nbgrader rejects, or silently gives no points for.

Pure: notebook and reference in, mended notebook and what was done out. The reference is the lesson as
students got it; its cells of nbgrader's are those that must be there, each once, in their order and type.
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass
from typing import Any

from labkit.course.cells import grade_id

TEST, ANSWER = "test", "answer"


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about one cell; `todo` says what a person should look at, "" where nothing."""

    cell: str
    done: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.cell}: {self.done}" + (f" ({self.todo})" if self.todo else "")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A cell of the reference that nbgrader knows, and the one before it."""

    name: str
    cell: Any
    before: str

    @property
    def kind(self) -> str:
        return TEST if self.cell.metadata.nbgrader.get("grade") else ANSWER


def mend_notebook(notebook: Any, reference: Any) -> tuple[Any, tuple[Repair, ...]]:
    """Return the notebook with every cell that the reference has of nbgrader's, and what was mended."""
    mended = copy.deepcopy(notebook)
    mended.nbformat, mended.nbformat_minor = 4, 5
    work = _Mending(mended, reference)
    work.run()
    return mended, tuple(work.repairs)


class _Mending:
    """The mending of one notebook, in place."""

    def __init__(self, notebook: Any, reference: Any) -> None:
        self.notebook = notebook
        self.wanted = _wanted_cells(reference)
        self.given = {cell.source.strip() for cell in reference.cells if not grade_id(cell)}
        self.repairs: list[Repair] = []
        self.found: dict[str, Any] = {}

    def run(self) -> None:
        self._strip_strangers()
        for one in sorted(
            self.wanted, key=lambda one: one.kind != TEST
        ):  # of answers, those before a test count
            if cell := self._choose(one):
                self.found[one.name] = cell
        for one in self.wanted:  # last: a cell without any sign is known by those around it
            if one.name not in self.found:
                self.found[one.name] = self._find_unmarked_answer(one) or self._put_back(one)
        for one in self.wanted:
            self._restore(one, self.found[one.name])
        self._order_tests()
        self._renew_ids()

    def _strip_strangers(self) -> None:
        names = {one.name for one in self.wanted}
        for cell in self.notebook.cells:
            if "nbgrader" in cell.metadata and grade_id(cell) not in names:
                if grade_id(cell):
                    self._note(grade_id(cell), "is no exercise of this lesson: it is an ordinary cell now")
                del cell.metadata["nbgrader"]

    def _choose(self, one: _Wanted) -> Any | None:
        """Return the cell that is `one`; others that claim to be are ordinary cells from now on."""
        marked = [cell for cell in self.notebook.cells if grade_id(cell) == one.name]
        if not marked:
            return self._find_unmarked(one)
        chosen = self._choose_copy(one, marked) if len(marked) > 1 else marked[0]
        for cell in marked:
            if cell is not chosen:
                del cell.metadata["nbgrader"]
                cell.metadata.pop("deletable", None)
                cell.metadata.pop("editable", None)
        return chosen

    def _choose_copy(self, one: _Wanted, copies: list[Any]) -> Any:
        if one.kind == TEST:
            self._note(one.name, f"was there {len(copies)} times: the last one counts")
            return copies[-1]
        test = self.found.get(self._following(one))
        if test is not None and self._place(copies[0]) < self._place(test):
            copies = [cell for cell in copies if self._place(cell) < self._place(test)]
        written = [cell for cell in copies if cell.source.strip() != one.cell.source.strip()]
        texts = {cell.source.strip() for cell in written}
        todo = "" if len(texts) < 2 else "the copies differ: look which one the student means"
        self._note(one.name, "was there several times: the last one with an answer counts", todo)
        return (written or copies)[-1]

    def _find_unmarked(self, one: _Wanted) -> Any | None:
        plain = [cell for cell in self.notebook.cells if not grade_id(cell)]
        for cell in plain:
            same = one.kind == TEST and cell.source.strip() == one.cell.source.strip()
            if cell.get("id") == one.name or same:
                self._note(one.name, "had lost its metadata: it has them again")
                cell.metadata["nbgrader"] = {"grade_id": one.name}
                return cell
        return None

    def _find_unmarked_answer(self, one: _Wanted) -> Any | None:
        """Return the ordinary cell that stands where an answer should: right before its test."""
        after = self._following(one)
        if one.kind == TEST or after not in self.found:
            return None
        place = self._place(self.found[after])
        before = self.notebook.cells[place - 1] if place else None
        if before is None or grade_id(before) or before.source.strip() in self.given:
            return None
        if before.cell_type != "code":
            return None
        self._note(one.name, "had lost its metadata: the cell before its test has them", "look whether it is")
        before.metadata["nbgrader"] = {"grade_id": one.name}
        return before

    def _put_back(self, one: _Wanted) -> Any:
        cell = copy.deepcopy(one.cell)
        at = self._place(self.found[one.before]) + 1 if one.before else len(self.notebook.cells)
        following = [self.found[other.name] for other in self.wanted if other.name in self.found]
        if one.kind == ANSWER and (later := self._later(one)) is not None:
            at = self._place(self.found[later])
        elif not one.before and following:
            at = self._place(following[0])
        self.notebook.cells.insert(at, cell)
        todo = "its answer may stand in another cell" if one.kind == ANSWER else ""
        self._note(one.name, "was missing: it is there again", todo)
        return cell

    def _following(self, one: _Wanted) -> str:
        """Return the name of the next wanted cell: an answer's test."""
        return next((other.name for other in self.wanted if other.before == one.name), "")

    def _later(self, one: _Wanted) -> str | None:
        after = self.wanted[self.wanted.index(one) + 1 :]
        return next((other.name for other in after if other.name in self.found), None)

    def _restore(self, one: _Wanted, cell: Any) -> None:
        if cell.cell_type != one.cell.cell_type:
            self._note(one.name, f"had become a {cell.cell_type} cell: it is {one.cell.cell_type} again")
            _retype(cell, one.cell.cell_type)
        ours = dict(one.cell.metadata.nbgrader)
        theirs = {key: value for key, value in cell.metadata.nbgrader.items() if key in ours}
        if theirs != {"grade_id": one.name} and _differs(theirs, ours):
            self._note(one.name, "its metadata were changed: they are the lesson's again")
        for key in ("nbgrader", "deletable", "editable"):
            if key in one.cell.metadata:
                cell.metadata[key] = copy.deepcopy(one.cell.metadata[key])
        if one.kind == TEST and not _is_written(one) and cell.source != one.cell.source:
            self._note(one.name, "its check was changed: it is the lesson's again")
            cell.source = one.cell.source

    def _order_tests(self) -> None:
        """Move a test that stands before its answer to right behind it."""
        for before, one in zip(self.wanted, self.wanted[1:], strict=False):
            test, answer = self.found[one.name], self.found[before.name]
            if one.kind == TEST and before.kind == ANSWER and self._place(test) < self._place(answer):
                self.notebook.cells.remove(test)
                self.notebook.cells.insert(self._place(answer) + 1, test)
                self._note(one.name, "stood before its answer: it stands behind it")

    def _renew_ids(self) -> None:
        taken = {one.name for one in self.wanted}
        for cell in self.notebook.cells:
            name = grade_id(cell)
            if not name and cell.get("id", "") in taken | {""}:
                cell["id"] = uuid.uuid4().hex[:12]
            elif name:
                cell["id"] = name
            taken.add(cell["id"])

    def _place(self, wanted: Any) -> int:
        return next(place for place, cell in enumerate(self.notebook.cells) if cell is wanted)

    def _note(self, name: str, done: str, todo: str = "") -> None:
        self.repairs.append(Repair(name, done, todo))


def _wanted_cells(reference: Any) -> list[_Wanted]:
    wanted: list[_Wanted] = []
    for cell in reference.cells:
        if name := grade_id(cell):
            wanted.append(_Wanted(name, cell, wanted[-1].name if wanted else ""))
    return wanted


def _is_written(one: _Wanted) -> bool:
    return bool(one.cell.metadata.nbgrader.get("solution"))


def _differs(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    kept = ("grade", "solution", "locked", "task", "points", "schema_version")
    return any(theirs.get(key) != ours.get(key) for key in kept)


def _retype(cell: Any, cell_type: str) -> None:
    cell.cell_type = cell_type
    cell.pop("attachments", None)
    if cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
