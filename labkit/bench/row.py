"""What `labkit bench --json` holds: a row for each benchmark. The JSON is made from these annotations."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  schema.py reads the annotations at run time
from dataclasses import dataclass
from typing import Any, Literal

from labkit.measure.results import DIALECT
from labkit.measure.schema import encode, json_schema

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured of it, and whether it holds; both None where there is nothing."""

    target: str
    measured: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark: medians of the rounds, in `unit`; `spread` is the least and the most of ours.

    `of_limit` is how many times the limit ours is (1: the limit itself), `ahead_of` how many times better
    than a peer (above 1: ours is better), both between medians; `of_limit_spread` is the least and the most
    of the rounds' own ratios, `of_limit_interval` the 95 % bootstrap interval of `of_limit` (none of fewer
    than five rounds). `missing` names the limit or the peers that could not be measured here, and why.
    """

    name: str
    work: str
    unit: str
    better: Better
    ours: float
    limit: float | None
    peers: Mapping[str, float]
    of_limit: float | None
    ahead_of: Mapping[str, float]
    rounds: int
    spread: tuple[float, ...]
    of_limit_spread: tuple[float, ...]
    of_limit_interval: tuple[float, ...]
    limit_is: str
    missing: Mapping[str, str]
    targets: tuple[Verdict, ...]


def rows_to_json(rows: tuple[Row, ...]) -> Any:
    """Return the rows as `json.dumps` takes them."""
    return encode(rows)


def bench_schema() -> dict[str, Any]:
    """Return the JSON Schema of `labkit bench --json`; it is published as bench.schema.json."""
    return {"$schema": DIALECT, "title": "labkit bench --json", **json_schema(tuple[Row, ...])}
