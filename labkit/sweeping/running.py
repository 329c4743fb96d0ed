"""Running a sweep: the cells that have no row yet, as calls of an executor; each row as it comes.

The executor is concurrent.futures': the one of this machine (`guest/executor.py`), or any other that calls
`perform_cell` where labkit is installed.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.errors import GuestError, LabError, RequestError, decode_error, encode_error
from labkit.experiment import GuestChoice, plan_job
from labkit.guest.executor import run_job
from labkit.measure.schema import decode, encode
from labkit.performing import Experiment, Measured, read_reply
from labkit.sweeping.rows import Circumstances, SweepRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from labkit.sweeping.cells import SweepCell
    from labkit.sweeping.journal import Journal

    Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Performed:
    """What an executor's call returns: the reply of the cell's guest, or an error, and when and under what.

    Plain values, so that any executor can carry them.
    """

    reply: bytes
    begun: str
    took_s: float
    load_1m: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that has no row, and why."""

    cell: SweepCell
    error: LabError


def perform_cell(request: bytes, guest: str | None, memory_mb: int) -> Performed:
    """Perform the experiment in `request` (JSON) in a fresh guest beside the process that this runs in."""
    experiment: Experiment = decode(Experiment, json.loads(request), "experiment")
    load, begun, begun_s = os.getloadavg()[0], time.gmtime(), time.monotonic()
    try:
        reply = run_job(plan_job(experiment, GuestChoice(guest, memory_mb)))
    except LabError as error:
        reply = encode_error(error)
    took_s = time.monotonic() - begun_s
    return Performed(reply, time.strftime("%Y-%m-%dT%H:%M:%SZ", begun), round(took_s, 3), round(load, 2))


def run_sweep(
    cells: Sequence[SweepCell],
    journal: Journal,
    executor: Executor,
    guests: GuestChoice,
    on_progress: Progress,
) -> tuple[Failure, ...]:
    """Perform the cells that the journal has no row of; each row is in the journal as soon as it is there.

    Returns those that could not be measured: a later run tries them again. `on_progress(done, total, what)`.
    Raises RequestError for a journal of another grid, and where a row cannot be written.
    """
    refuse_strangers(cells, journal)
    left = [cell for cell in cells if cell.identity not in journal.done]
    done = len(cells) - len(left)
    on_progress(done, len(cells), f"{done} done before" if done else "starting guests")
    futures: dict[Future[Performed], SweepCell] = {
        executor.submit(
            perform_cell, json.dumps(encode(cell.experiment)).encode(), guests.guest, guests.memory_mb
        ): cell
        for cell in left
    }
    failures = []
    for number, future in enumerate(as_completed(futures), done + 1):
        cell = futures[future]
        outcome = _outcome(cell, future)
        if isinstance(outcome, LabError):
            failures.append(Failure(cell, outcome))
        else:
            journal.add(outcome)
        on_progress(number, len(cells), str(cell))
    return tuple(failures)


def refuse_strangers(cells: Sequence[SweepCell], journal: Journal) -> None:
    """Raise RequestError where the journal has rows of cells that the grid does not have (any more)."""
    strangers = journal.done - {cell.identity for cell in cells}
    if strangers:
        raise RequestError(
            f"{len(strangers)} of its {len(journal.rows)} rows are of experiments that are not in this grid",
            where=str(journal.path),
            todo="choose another --output; a grid may grow, but what was measured must stay in it",
        )


def _outcome(cell: SweepCell, future: Future[Performed]) -> SweepRow | LabError:
    error = future.exception()
    if error is not None:  # perform_cell raises nothing: its executor lost it
        return GuestError(f"{cell}: {type(error).__name__}: {error}", todo="run the sweep again")
    return _row_of(cell, future.result())


def _row_of(cell: SweepCell, performed: Performed) -> SweepRow | LabError:
    measured = _measured(performed.reply, str(cell))
    if isinstance(measured, LabError):
        return measured
    return SweepRow(
        cell=cell.identity,
        lab=cell.lab,
        workload=cell.workload,
        shaping=cell.shaping,
        outage=cell.outage,
        seed=cell.experiment.seed,
        run=replace(measured.run, flows=()),
        circumstances=Circumstances(
            performed.begun, performed.took_s, performed.load_1m, measured.guest, measured.iptables_backend
        ),
    )


def _measured(reply: bytes, name: str) -> Measured | LabError:
    try:
        return decode_error(reply)  # the guest's, or of its beginning
    except ValueError:
        return read_reply(reply, name)
