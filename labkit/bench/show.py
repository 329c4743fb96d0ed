"""Rows as text: a line for each contender, then which targets hold. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.bench.row import Row

CAPTION = "Medians of one run's rounds; the ratios are what to compare, the figures are this machine's, now"
_COLUMNS = (
    Column("benchmark", "left"),
    Column("who", "left"),
    Column("median"),
    Column("ours against it", "left"),
)
_VERDICTS = {True: "holds", False: "does not hold", None: "was not measured"}


def show_rows(rows: Sequence[Row]) -> str:
    """Return the rows as a table, what is missing, and the targets."""
    lines = [cells for row in rows for cells in _lines(row)]
    parts = [Table(CAPTION, _COLUMNS, tuple(lines)).text()]
    missing = [f"  {row.name}: {who}: {why}" for row in rows for who, why in row.missing.items()]
    if missing:
        parts.append("\n".join(["Missing here:", *missing]))
    targets = [
        f"  {row.name}: {one.target}: {_VERDICTS[one.holds]}"
        + ("" if one.measured is None else f" ({number(one.measured)})")
        for row in rows
        for one in row.targets
    ]
    if targets:
        parts.append("\n".join(["Targets:", *targets]))
    return "\n\n".join(parts)


def number(value: float) -> str:
    """Return a figure with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _lines(row: Row) -> Iterator[tuple[str, ...]]:
    rounds = f"{row.rounds} round{'s' if row.rounds != 1 else ''}, {_range(row.spread)}"
    yield (row.name, row.work, f"{number(row.ours)} {row.unit}", rounds)
    if row.limit is not None and row.of_limit is not None:
        ratio = f"{number(row.of_limit)} times the limit ({_range(row.of_limit_spread)}"
        ratio += f"; 95 %: {_range(row.of_limit_interval)})" if row.of_limit_interval else ")"
        yield ("", f"limit: {row.limit_is}", f"{number(row.limit)} {row.unit}", ratio)
    for peer, value in row.peers.items():
        yield ("", f"peer: {peer}", f"{number(value)} {row.unit}", _compared(row.ahead_of[peer]))


def _range(ends: tuple[float, ...]) -> str:
    least, most = ends
    return f"{number(least)} to {number(most)}"


def _compared(ahead: float) -> str:
    return f"{number(ahead)} times better" if ahead >= 1 else f"{number(1 / ahead)} times worse"
