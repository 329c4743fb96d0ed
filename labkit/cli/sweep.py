"""`labkit sweep`: a grid of experiments as jobs, resumable, its results one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.memory import parse_memory_mb
from labkit.cli.options import DEFAULT_MEMORY, GuestOption, MemoryOption
from labkit.cli.progress import progress_display
from labkit.errors import CapabilityError

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from labkit.experiment import GuestChoice
    from labkit.sweeping.cells import SweepCell
    from labkit.sweeping.journal import Journal
    from labkit.sweeping.running import Failure

INTERRUPTED = 130
FAILURES_SHOWN = 5

GridArgument = Annotated[Path, typer.Argument(metavar="GRID.yaml", help="Which experiments: docs/sweeps.md.")]
OutputOption = Annotated[
    Path | None, typer.Option(help="Where the rows go, and were begun before. Default: out/GRID.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(help="Guests at a time. Default: one a processor; 1 in real time.", min=1),
]
SchedulerOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Run on the workers of this Dask scheduler instead of here.")
]


def sweep(
    grid: GridArgument,
    output: OutputOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = "",
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
    *,
    only_list: Annotated[bool, typer.Option("--list", help="Print the experiments, run none.")] = False,
) -> None:
    """Measure every combination of a grid, each in a fresh guest, into one table.

    Each row is on the disk as soon as it is measured. Interrupted or killed, the same command goes on with
    what is left.
    """
    from labkit.experiment import GuestChoice
    from labkit.sweeping.cells import load_grid, plan_sweep
    from labkit.sweeping.journal import Journal
    from labkit.sweeping.running import refuse_strangers

    wanted = load_grid(grid)
    cells = plan_sweep(wanted)
    if only_list:
        typer.echo("\n".join(f"{cell.identity}  {cell}" for cell in cells))
        return
    guests = GuestChoice(guest, parse_memory_mb(memory))
    if wanted.clock == "real" and workers is None:
        workers = 1  # guests that compete for the processors would measure each other
    with Journal(output or Path("out") / grid.stem) as journal:
        refuse_strangers(cells, journal)
        failures, interrupted = _run(cells, journal, _executor(workers, scheduler), guests)
        _write_table(cells, journal)
        _end(cells, journal, failures, interrupted=interrupted)


def _executor(workers: int | None, scheduler: str) -> AbstractContextManager[Executor]:
    if scheduler:
        from labkit.sweeping.remote import open_dask_executor

        return open_dask_executor(scheduler)
    from labkit.guest.executor import JobExecutor

    return JobExecutor(workers)


def _run(
    cells: tuple[SweepCell, ...],
    journal: Journal,
    executor: AbstractContextManager[Executor],
    guests: GuestChoice,
) -> tuple[tuple[Failure, ...], bool]:
    """Return what could not be measured, and whether it was interrupted."""
    from labkit.sweeping.running import run_sweep

    with progress_display("labkit sweep") as on_progress:
        try:
            with executor as opened:
                return run_sweep(cells, journal, opened, guests, on_progress), False
        except KeyboardInterrupt:
            return (), True


def _write_table(cells: tuple[SweepCell, ...], journal: Journal) -> None:
    """Print the table and write the Parquet, in the grid's order; the journal has the order of the ends."""
    from labkit.chart.sweep import sweep_table
    from labkit.sweeping.table import write_parquet

    if not journal.rows:
        return
    rows = journal.in_order(cells)
    typer.echo(sweep_table(rows).text())
    typer.echo(f"\nThe rows: {journal.path}")
    try:
        typer.echo(f"          {write_parquet(rows, journal.path.parent)}")
    except CapabilityError as error:
        sys.stderr.write(f"note: {error}\n")


def _end(
    cells: tuple[SweepCell, ...], journal: Journal, failures: tuple[Failure, ...], *, interrupted: bool
) -> None:
    """Say what is not done, and end with the status that says so."""
    for failure in failures[:FAILURES_SHOWN]:
        sys.stderr.write(f"labkit: {failure.error}\n")
    if failures[FAILURES_SHOWN:]:
        sys.stderr.write(f"labkit: and {len(failures) - FAILURES_SHOWN} more\n")
    if interrupted or failures:
        sys.stderr.write(
            f"labkit: {len(journal.rows)} of {len(cells)} are done; the same command does the others\n"
        )
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if failures:
        raise typer.Exit(failures[0].error.exit_status)
