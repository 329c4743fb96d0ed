"""Run benchmarks one after the other; each becomes a row, or the error that it ended with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.bench.inside import measure_in_guest
from labkit.bench.rounds import LIMIT, Samples, measure_rounds, summarise
from labkit.errors import CapabilityError, LabError
from labkit.guest.info import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labkit.bench.benchmark import Benchmark
    from labkit.bench.rounds import OnRound
    from labkit.bench.row import Row

    Progress = Callable[[int, int, str], None]


def run_benchmarks(
    benchmarks: Sequence[Benchmark], rounds: int | None, on_progress: Progress
) -> Iterator[Row | LabError]:
    """Yield each benchmark's row as soon as it is measured, or the error that it ended with.

    `rounds` (None: as each benchmark has it) count beside the warm-ups. `on_progress(done, total, what)`
    counts rounds of all benchmarks.
    """
    asked = [one if rounds is None else replace(one, rounds=rounds) for one in benchmarks]
    total = sum(one.warm_ups + one.rounds for one in asked)
    done = 0
    for benchmark in asked:

        def on_round(number: int, who: str, benchmark: Benchmark = benchmark, done: int = done) -> None:
            doer = benchmark.limit_is if who == LIMIT and benchmark.limit_is else who
            on_progress(done + number, total, f"{benchmark.name}: {doer}")

        try:
            yield summarise(benchmark, measure(benchmark, on_round))
        except LabError as error:
            error.message = f"{benchmark.name}: {error.message.removeprefix(f'{benchmark.name}: ')}"
            yield error
        done += benchmark.warm_ups + benchmark.rounds
    on_progress(total, total, "done")


def measure(benchmark: Benchmark, on_round: OnRound) -> Samples:
    """Measure a benchmark where its work is done. Raises what ours raises, and where it cannot be."""
    here = current()
    if benchmark.place == "guest" and here is None:
        return measure_in_guest(benchmark, on_round)
    if benchmark.place == "host" and here is not None:
        raise CapabilityError(
            "it measures from outside the lab's Linux, and this is inside",
            where=f"lab {here.lab}",
            todo="run labkit bench from outside",
        )
    with benchmark.contenders() as contenders:
        return measure_rounds(benchmark, contenders, on_round)
