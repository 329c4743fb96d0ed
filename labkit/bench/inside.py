"""Benchmarks whose work is done inside the guest: all rounds of one in one guest, their samples come back.

The guest's side (`python -m labkit.bench.inside MODULE NAME ROUNDS`, its group's module) writes a line of
JSON for each step: `{"round", "who"}` before it, at the end `{"samples"}` or an error's own keys.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, cast

from labkit.bench.rounds import Samples, measure_rounds
from labkit.errors import GuestError, LabError, decode_error, encode_error
from labkit.measure.schema import decode, encode

if TYPE_CHECKING:
    from labkit.bench.benchmark import Benchmark
    from labkit.bench.rounds import OnRound

_LAST_LINES = 4


def measure_in_guest(benchmark: Benchmark, on_round: OnRound) -> Samples:
    """Measure a benchmark in a fresh guest and return its samples.

    Raises CapabilityError where no guest can run here, GuestError when it ends early, and what ours raises.
    """
    command = guest_command(benchmark)
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        try:
            samples = read_steps(cast("IO[bytes]", process.stdout), on_round)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.communicate()
        if samples is not None:
            return samples
        words.seek(0)
        lines = words.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    raise GuestError(
        f"{benchmark.name}: the guest that measures it ended early",
        where=" / ".join(lines) or "without a word",
        todo="run it again; `labkit doctor` says whether a guest can run here",
    )


def guest_command(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the command that measures a benchmark in a guest and writes its steps."""
    python = (sys.executable, "-m")
    asked = (benchmark.contenders.__module__, benchmark.name, str(benchmark.rounds))
    return (
        *(*python, "labkit", "exec", "--memory", f"{benchmark.memory_mb}M", "--"),
        *(*python, "labkit.bench.inside", *asked),
    )


def read_steps(lines: IO[bytes], on_round: OnRound) -> Samples | None:
    """Pass the steps on as they come and return the samples; None where the lines end without them."""
    for line in lines:
        step = json.loads(line)
        if "round" in step:
            on_round(step["round"], step["who"])
        elif "samples" in step:
            samples: Samples = decode(Samples, step["samples"], "samples")
            return samples
        else:
            raise decode_error(line)
    return None


def main(group: str, name: str, rounds: str) -> None:
    """Measure the benchmark of that name in the module `group` here; write the steps to standard output."""
    (found,) = (one for one in importlib.import_module(group).BENCHMARKS if one.name == name)
    benchmark: Benchmark = replace(found, rounds=int(rounds))
    try:
        with benchmark.contenders() as contenders:
            samples = measure_rounds(benchmark, contenders, lambda number, who: _say(round=number, who=who))
    except LabError as error:
        sys.stdout.write(encode_error(error).decode() + "\n")
    else:
        _say(samples=encode(samples))


def _say(**step: object) -> None:
    sys.stdout.write(json.dumps(step) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
