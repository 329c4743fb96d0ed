"""Table: the numbers of a chart as text for a terminal and as accessible HTML for a page. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Words stand left, numbers right."""

    title: str
    align: Align = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, columns and rows of ready-made cells. The first `names` cells name the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                message = f"table {self.caption!r}: {len(row)} cells for {len(self.columns)} columns: {row}"
                raise ValueError(message)

    def text(self) -> str:
        """Return caption, headings, a rule and the rows as aligned lines, without trailing spaces."""
        titles = tuple(column.title for column in self.columns)
        widths = [max(map(len, cells)) for cells in zip(titles, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        lines = [self._line(cells, widths) for cells in (titles, rule, *self.rows)]
        return "\n".join([self.caption, *lines])

    def fitted(self, width: int, dispensable: Sequence[str]) -> Table:
        """Return the table with so many columns fewer that its text is at most `width` characters wide.

        `dispensable` are the starts of the titles of those that may go, in this order. It may still be wider.
        """
        table = self
        for title in dispensable:
            if max(map(len, table.text().splitlines()[1:])) <= width:
                break
            kept = [n for n, column in enumerate(table.columns) if not column.title.startswith(title)]
            rows = tuple(tuple(row[n] for n in kept) for row in table.rows)
            table = Table(table.caption, tuple(table.columns[n] for n in kept), rows, table.names)
        return table

    def html(self) -> str:
        """Return a <table> with caption, column headings and row headings, for eyes and screen readers."""
        if self.names > 1:
            return self._grouped_html()
        body = f"<tbody>\n{self._lines(self.rows)}\n</tbody>"
        return f"<table>\n<caption>{escape(self.caption)}</caption>\n{_head(self.columns)}\n{body}\n</table>"

    def _grouped_html(self) -> str:
        # Lines with the same first cell stand under one heading line instead of a column of their own.
        rest = Table(self.caption, self.columns[1:], tuple(row[1:] for row in self.rows))
        groups = groupby(zip(self.rows, rest.rows, strict=True), key=lambda pair: pair[0][0])
        bodies = "\n".join(
            f'<tbody>\n<tr><th scope="rowgroup" colspan="{len(rest.columns)}" style="text-align:left">'
            f"{escape(name)}</th></tr>\n"
            f"{rest._lines(tuple(line for _, line in pairs))}\n</tbody>"
            for name, pairs in groups
        )
        return (
            f"<table>\n<caption>{escape(self.caption)}</caption>\n{_head(rest.columns)}\n{bodies}\n</table>"
        )

    def _lines(self, rows: tuple[tuple[str, ...], ...]) -> str:
        return "\n".join(f"<tr>{self._cells(row)}</tr>" for row in rows)

    def _line(self, cells: tuple[str, ...], widths: list[int]) -> str:
        aligned = (
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, width, column in zip(cells, widths, self.columns, strict=True)
        )
        return "  ".join(aligned).rstrip()

    def _cells(self, row: tuple[str, ...]) -> str:
        cells = []
        for number, (cell, column) in enumerate(zip(row, self.columns, strict=True)):
            tag, scope = ("th", ' scope="row"') if number == 0 else ("td", "")
            cells.append(f"<{tag}{scope}{_css(column)}>{escape(cell)}</{tag}>")
        return "".join(cells)


def _head(columns: tuple[Column, ...]) -> str:
    heads = "".join(f'<th scope="col"{_css(column)}>{escape(column.title)}</th>' for column in columns)
    return f"<thead><tr>{heads}</tr></thead>"


def _css(column: Column) -> str:
    # Inline, because a notebook's output has no style sheet of its own.
    return f' style="text-align:{column.align}"'
