"""Cells: the parts of an experiment, each measured in a fresh guest of its own; a cell in, a row out.

A cell is a dataclass whose `str` is its name for people. The module that measures it is run in the guest
(`python -m MODULE`): it reads the cell from standard input and ends in `answer_cell`.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import as_completed
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.errors import GuestError, LabError, decode_error, encode_error
from labkit.guest.clock import REAL_TIME, VIRTUAL_TIME, Clock
from labkit.guest.info import current
from labkit.guest.jobs import Job, JobPool
from labkit.guest.run import DEFAULT_MEMORY_MB
from labkit.measure.records import GuestFacts
from labkit.measure.schema import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    Progress = Callable[[int, int, str], None]

Cell = TypeVar("Cell")
Row = TypeVar("Row")
TIMINGS = {"real": REAL_TIME, "virtual": VIRTUAL_TIME}


def measure_cells(
    cells: Sequence[Any],
    module: str,
    row_kind: type[Row],
    *,
    clock: Clock,
    memory_mb: int = DEFAULT_MEMORY_MB,
    on_progress: Progress | None = None,
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Measure `cells` by `module`, each in a fresh guest; return the rows in order, and what failed.

    In real time one after the other, so that they do not compete for the processors; in virtual time as many
    at once as there are processors. `on_progress(done, total, what)` is called after each, and before the
    first. An interrupt ends the guests that run. Raises the first error where nothing could be measured.
    """
    with JobPool(1 if clock == "real" else None) as pool:
        if on_progress is not None:
            on_progress(0, len(cells), str(cells[0]))
        futures = {pool.submit(_plan_job(cell, module, clock, memory_mb)): cell for cell in cells}
        for done, future in enumerate(as_completed(futures), 1):
            if on_progress is not None:
                on_progress(done, len(cells), str(futures[future]))
    outcomes = [_outcome(future, row_kind, str(cell)) for future, cell in futures.items()]
    errors = [one for one in outcomes if isinstance(one, LabError)]
    if len(errors) == len(outcomes):
        raise errors[0]
    rows = tuple(one for one in outcomes if not isinstance(one, LabError))
    return rows, tuple(error.message for error in errors)


def answer_cell(cell_kind: type[Cell], measure: Callable[[Cell], Any]) -> None:
    """Measure the cell in standard input; its row, or the error, goes to standard output."""
    try:
        row = measure(decode(cell_kind, json.load(sys.stdin), "cell"))
        reply = json.dumps({"row": encode(row)}).encode()
    except LabError as error:
        reply = encode_error(error)
    sys.stdout.buffer.write(reply)


def guest_facts(clock: Clock) -> GuestFacts:
    """Return which Linux this is. Raises GuestError outside of a lab's, or where it has another clock."""
    guest = current()
    if guest is None or guest.clock != clock:
        raise GuestError(
            f"this is measured in a lab's Linux in {clock} time", todo="call the experiment's function"
        )
    return GuestFacts(guest.kind, guest.release, guest.cpus)


def load_1m() -> float:
    """Return the last minute's load here."""
    return round(os.getloadavg()[0], 2)


def _plan_job(cell: Any, module: str, clock: Clock, memory_mb: int) -> Job:
    return Job(
        name=str(cell),
        argv=(sys.executable, "-m", module),
        request=json.dumps(encode(cell)).encode(),
        timing=TIMINGS[clock],
        memory_mb=memory_mb,
    )


def _outcome(future: Future[bytes], row_kind: type[Row], name: str) -> Row | LabError:
    try:
        reply = future.result()
    except LabError as error:
        return error
    value = json.loads(reply)
    if "row" not in value:
        failure = decode_error(reply)
        failure.message = f"{name}: {failure.message}"
        return failure
    row: Row = decode(row_kind, value["row"], name)
    return row
