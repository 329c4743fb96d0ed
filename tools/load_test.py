"""How many labs a machine takes before a learner's cells need twice the time: `make load-test`.

Each simulated learner has a kernel "Lab" of its own, started as Jupyter starts it, and runs the cells of the
first lesson, with its solution, from top to bottom, again and again. Between two cells it waits: not at all
(everybody presses Run All), or for a time drawn from an exponential distribution (everybody reads). The
slow-down is the time that the cells took, divided by what a single learner on the idle machine needs for the
same cells (each cell's mean). Busy is how many processors the labs kept busy. Memory is what the machine has
less while the labs are open, for each lab.

Run it on a machine that does nothing else. It ends by itself after some minutes, and nothing stays.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from labkit.course.lesson import plan_notebook
from labkit.session import kernelspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TREE = Path(__file__).resolve().parents[1]
LESSON = TREE / "notebooks/source/00-the-lab.py"
PATIENCE_S = 300
WORTH_COUNTING_S = 0.05  # a cell that takes less says nothing of the lab


@dataclass(frozen=True)
class Stage:
    """So many labs at once; each learner waits for `think_s` seconds on average; watched for `watched_s`."""

    labs: int
    think_s: float
    watched_s: float


@dataclass(frozen=True)
class Row:
    """What a stage showed. Seconds and MB are a lab's own; `slow_down` is None where too few cells ran."""

    labs: int
    think_s: float
    cells: int
    slow_down: float | None
    slow_down_p95: float | None
    processors_busy: float
    memory_mb: float
    ready_s: float | None


@dataclass
class Learner:
    """A kernel, the cells that its learner runs, and the seconds that each took: (cell, seconds)."""

    manager: KernelManager
    cells: Sequence[str]
    pauses: random.Random
    place: int = 0
    took: list[tuple[int, float]] = field(default_factory=list)
    ready_s: float = 0.0

    def start(self, errors: IO[bytes]) -> None:
        """Start the kernel and wait until it answers."""
        begun = time.monotonic()
        self.manager.start_kernel(stderr=errors)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)
        self.ready_s = time.monotonic() - begun

    def run_next(self) -> None:
        """Run the next cell; after the last one comes the first. A cell that fails ends the test."""
        begun = time.monotonic()
        reply = self.client.execute_interactive(
            self.cells[self.place], output_hook=lambda _: None, timeout=PATIENCE_S
        )
        if reply["content"]["status"] != "ok":
            raise SystemExit(f"load-test: a cell failed: {self.cells[self.place]}\n{reply['content']}")
        self.took.append((self.place, time.monotonic() - begun))
        self.place = (self.place + 1) % len(self.cells)

    def run_lesson(self) -> None:
        """Run all cells once."""
        for _ in self.cells:
            self.run_next()

    def learn(self, think_s: float, over: threading.Event) -> None:
        """Run cells with pauses between them until it is over."""
        while not over.wait(self.pauses.expovariate(1 / think_s) if think_s else 0):
            self.run_next()

    def end(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.client.context.destroy(linger=0)


@contextmanager
def classroom() -> Iterator[Classroom]:
    """Yield a classroom without learners; at the end all kernels are gone."""
    with ExitStack() as stack:
        prefix = stack.enter_context(tempfile.TemporaryDirectory())
        folder = kernelspec.install(prefix=prefix).parent
        errors = stack.enter_context((Path(prefix) / "errors").open("wb"))
        specs = KernelSpecManager(kernel_dirs=[str(folder)])
        yield Classroom(specs, errors, stack)


class Classroom:
    """Learners who are there at the same time, and what the lesson took a single one."""

    def __init__(self, specs: KernelSpecManager, errors: IO[bytes], stack: ExitStack) -> None:
        self.learners: list[Learner] = []
        self._specs, self._errors, self._stack = specs, errors, stack
        self._cells = [cell.source for cell in plan_notebook(LESSON).cells if cell.cell_type == "code"]
        self._available_mb = available_memory_mb()
        self._alone: dict[int, float] = {}

    def perform(self, stage: Stage) -> Row:
        """Bring the stage's labs up, watch them, and return what was seen."""
        ready_s = self._grow_to(stage.labs)
        memory_mb = (self._available_mb - available_memory_mb()) / stage.labs
        for learner in self.learners:
            learner.took.clear()
        busy = busy_seconds()
        self._watch(stage)
        busy = busy_seconds() - busy
        took = [one for learner in self.learners for one in learner.took]
        if not self._alone:
            self._alone = mean_seconds(took)
        counted = [
            (self._alone[cell], seconds) for cell, seconds in took if self._alone[cell] >= WORTH_COUNTING_S
        ]
        ratios = sorted(seconds / alone for alone, seconds in counted)
        return Row(
            labs=stage.labs,
            think_s=stage.think_s,
            cells=len(took),
            slow_down=sum(seconds for _, seconds in counted) / sum(alone for alone, _ in counted)
            if counted
            else None,
            slow_down_p95=ratios[int(0.95 * len(ratios))] if len(ratios) >= 20 else None,
            processors_busy=busy / self._watched_s,
            memory_mb=memory_mb,
            ready_s=ready_s,
        )

    def _grow_to(self, labs: int) -> float | None:
        """Start the kernels that are missing, all at once, and run the lesson in each."""
        new = [self._newcomer(number) for number in range(len(self.learners), labs)]
        if not new:
            return None
        with ThreadPoolExecutor(len(new)) as pool:
            list(pool.map(lambda learner: learner.start(self._errors), new))
            list(pool.map(Learner.run_lesson, new))
        self.learners += new
        return statistics.median(learner.ready_s for learner in new)

    def _newcomer(self, number: int) -> Learner:
        manager = KernelManager(kernel_name=kernelspec.KERNEL_NAME, kernel_spec_manager=self._specs)
        learner = Learner(manager, self._cells, random.Random(number))
        self._stack.callback(learner.end)
        return learner

    def _watch(self, stage: Stage) -> None:
        over, begun = threading.Event(), time.monotonic()
        with ThreadPoolExecutor(stage.labs) as pool:
            learning = [pool.submit(learner.learn, stage.think_s, over) for learner in self.learners]
            over.wait(stage.watched_s)
            over.set()
            for one in learning:
                one.result()
        self._watched_s = time.monotonic() - begun


def mean_seconds(took: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Return each cell's mean."""
    by_cell = defaultdict(list)
    for cell, seconds in took:
        by_cell[cell].append(seconds)
    return {cell: statistics.fmean(seconds) for cell, seconds in by_cell.items()}


def available_memory_mb() -> float:
    """Return what this machine could still give to programs, in millions of bytes."""
    (line,) = (
        one for one in Path("/proc/meminfo").read_text().splitlines() if one.startswith("MemAvailable")
    )
    return int(line.split()[1]) * 1024 / 1e6


def busy_seconds() -> float:
    """Return the seconds of processors' time that the labs took: this process's children, and theirs."""
    children, ticks = defaultdict(list), {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            pid = int(file.parent.name)
            children[int(words[1])].append(pid)
            ticks[pid] = sum(map(int, words[11:15]))  # of its own, and of its children that have ended
    found, waiting = 0, list(children[os.getpid()])
    while waiting:
        pid = waiting.pop()
        found += ticks[pid]
        waiting += children[pid]
    return found / os.sysconf("SC_CLK_TCK")


def show(row: Row) -> None:
    """Print a row of the table."""
    cells = (
        f"{row.labs}",
        f"{row.think_s:g} s",
        f"{row.cells}",
        "-" if row.slow_down is None else f"{row.slow_down:.2f}",
        "-" if row.slow_down_p95 is None else f"{row.slow_down_p95:.1f}",
        f"{row.processors_busy:.2f}",
        f"{row.memory_mb:.0f} MB",
        "-" if row.ready_s is None else f"{row.ready_s:.1f} s",
    )
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def main() -> int:
    """Perform the stages and print a table of them; --json keeps their rows."""
    parser = argparse.ArgumentParser(prog="load-test", description=__doc__.splitlines()[0])
    parser.add_argument("--at-once", default="1,2,4,8", help="numbers of labs whose learners never wait")
    parser.add_argument("--reading", default="8,16,24,32", help="numbers of labs whose learners read")
    parser.add_argument(
        "--think", type=float, default=10.0, metavar="S", help="how long they read, on average"
    )
    parser.add_argument(
        "--watch", type=float, default=30.0, metavar="S", help="how long each number is watched"
    )
    parser.add_argument("--json", type=Path, help="a file for the rows")
    asked = parser.parse_args()
    stages = [
        *(Stage(int(labs), 0, asked.watch) for labs in asked.at_once.split(",") if labs),
        *(Stage(int(labs), asked.think, 2 * asked.watch) for labs in asked.reading.split(",") if labs),
    ]
    sys.stdout.write(f"{os.cpu_count()} processors, {available_memory_mb():.0f} MB of memory free\n\n")
    sys.stdout.write("| labs | pause | cells | slow-down | its 95th percentile | busy | memory | ready |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    with classroom() as room:
        rows = []
        for stage in sorted(stages, key=lambda stage: (stage.labs, stage.think_s)):
            rows.append(room.perform(stage))
            show(rows[-1])
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
