"""Diagram: a drawing of our own as one <svg>, the same as a table, and one sentence about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.chart.picture import words_html

if TYPE_CHECKING:
    from labkit.chart.table import Table


@dataclass(frozen=True, slots=True)
class Diagram:
    """What `svg` draws, `table` lists and `alt` says in one sentence; the last line of a cell shows it.

    It is a still picture: JupyterLab, nbconvert and nbgrader's feedback show the same.
    """

    title: str
    svg: str
    table: Table
    alt: str

    def __str__(self) -> str:
        return f"{self.alt}\n\n{self.table.text()}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"{self.svg}\n{words_html(self.alt, self.table)}"
