"""`labkit bench`: ours beside its peers and the limit, in one run."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.progress import progress_display
from labkit.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.bench.benchmark import Benchmark
    from labkit.bench.row import Row

INTERRUPTED = 130


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME ...", help="Groups or benchmarks; none: all groups.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="So many rounds instead of each benchmark's own.", min=1)
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="Print what there is to measure.")] = False,
) -> None:
    """Measure ours, its peers and the limit in turn, several rounds, and print the medians and their ratios.

    An interrupt or SIGTERM ends it; what was measured by then is printed.
    """
    from labkit.bench.groups import choose, load_groups
    from labkit.bench.row import rows_to_json
    from labkit.bench.show import show_rows

    groups = load_groups()
    chosen = choose(names or [], groups)
    if only_list:
        for group, benchmarks in groups.items():
            typer.echo("\n".join([group, *(f"  {one.name:<16} {one.work}" for one in benchmarks)]))
        return
    rows, failures, interrupted = _measure(chosen, rounds)
    if as_json:
        typer.echo(json.dumps(rows_to_json(rows), indent=1, allow_nan=False))
    elif rows:
        typer.echo(f"{show_rows(rows)}\n\n{_busy_words()}")
    for failure in failures:
        sys.stderr.write(f"labkit: {failure}\n")
    if interrupted:
        sys.stderr.write(f"labkit: interrupted; {len(rows)} of {len(chosen)} benchmarks were measured\n")
        raise typer.Exit(INTERRUPTED)
    if failures:
        raise typer.Exit(failures[0].exit_status)


def _busy_words() -> str:
    """Return how much else this machine had to do, from the last minute's load and the processors."""
    load, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    words = f"{processors} processors, load {load:.1f} in the last minute"
    return f"{words}: a busy machine, on which only ratios count" if load > processors else words


def _measure(
    benchmarks: Sequence[Benchmark], rounds: int | None
) -> tuple[tuple[Row, ...], tuple[LabError, ...], bool]:
    """Return the rows, the failures, and whether it was interrupted."""
    from labkit.bench.run import run_benchmarks

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # rows on the host have namespaces to remove
    outcomes: list[Row | LabError] = []
    interrupted = False
    with progress_display("labkit bench") as on_progress:
        try:
            outcomes.extend(run_benchmarks(benchmarks, rounds, on_progress))
        except KeyboardInterrupt:
            interrupted = True
    failures = tuple(one for one in outcomes if isinstance(one, LabError))
    return tuple(one for one in outcomes if not isinstance(one, LabError)), failures, interrupted
