"""The groups of benchmarks: a file each, which says what it has in `BENCHMARKS`. A new file is named here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.bench.benchmark import Benchmark

GROUPS: Mapping[str, str] = {
    "guest": "labkit.bench.guest",
    "sending": "labkit.bench.sending",
    "measuring": "labkit.bench.measuring",
    "forwarding": "labkit.bench.forwarding",
    "building": "labkit.bench.building",
    "programming": "labkit.bench.programming",
    "changing": "labkit.bench.changing",
    "journey": "labkit.bench.journey",
}


def load_groups() -> Mapping[str, tuple[Benchmark, ...]]:
    """Return every group's benchmarks, in the order in which they run."""
    return {name: tuple(importlib.import_module(module).BENCHMARKS) for name, module in GROUPS.items()}


def choose(names: Sequence[str], groups: Mapping[str, Sequence[Benchmark]]) -> tuple[Benchmark, ...]:
    """Return the benchmarks that are named, by themselves or as a group; without a name, all groups.

    Those that run only on request must be named themselves. Raises RequestError for a name that is none.
    """
    by_name = {one.name: one for benchmarks in groups.values() for one in benchmarks}
    chosen: list[Benchmark] = []
    for name in names or groups:
        if name in by_name:
            chosen.append(by_name[name])
        elif name in groups:
            chosen += [one for one in groups[name] if not one.on_request]
        else:
            raise RequestError(
                f"there is no benchmark called {name!r}", where="labkit bench", todo=_what_there_is(groups)
            )
    return tuple(dict.fromkeys(chosen))


def _what_there_is(groups: Mapping[str, Sequence[Benchmark]]) -> str:
    listed = (f"{group} ({', '.join(one.name for one in every)})" for group, every in groups.items())
    return f"name groups or benchmarks: {'; '.join(listed)}"
