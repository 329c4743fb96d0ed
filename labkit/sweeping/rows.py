"""The row of a sweep's table: one experiment, what came of it, and where that was measured.

Its JSON Schema is published as sweep.schema.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from labkit import __version__
from labkit.measure.records import GuestFacts, RunResult  # noqa: TC001  schema.py reads the annotations
from labkit.measure.results import DIALECT
from labkit.measure.schema import json_schema
from labkit.proxy.printing import KUBE_PROXY


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and when: `load_1m` is the last minute's load of the machine, as its guest started."""

    begun: str  # in UTC, "2026-01-31T12:00:00Z"
    took_s: float
    load_1m: float
    guest: GuestFacts
    iptables_backend: Literal["legacy", "nft"]
    labkit: str = __version__
    kube_proxy: str = KUBE_PROXY


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One experiment: the names of its values in the grid, its result, and its circumstances.

    `cell` is a hash of all that the experiment is, manifests included. Its flows are not kept.
    """

    cell: str
    lab: str
    workload: str
    shaping: str
    outage: str
    seed: int
    run: RunResult
    circumstances: Circumstances


def row_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line of rows.jsonl."""
    return {"$schema": DIALECT, "title": "one line of rows.jsonl", **json_schema(SweepRow)}
