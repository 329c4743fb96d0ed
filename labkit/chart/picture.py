"""Chart: a plotly figure, the same data as a table, and one sentence that says what the figure shows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from labkit.chart import style
from labkit.chart.still import still_svg

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

    from labkit.chart.table import Table

PLOTLY_MIME = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, slots=True)
class Chart:
    """What `drawing` (plotly's JSON: data and layout) shows, `table` lists and `alt` says in one sentence.

    In a notebook the figure is drawn by plotly's own JupyterLab extension, without internet; where plotly is
    not at hand (nbconvert, nbgrader's feedback, a notebook that is only looked at) the same figure appears as
    a still picture. The sentence and the table follow.
    """

    drawing: Mapping[str, Any]
    table: Table
    alt: str

    @property
    def title(self) -> str:
        """The figure's title."""
        return str(self.drawing["layout"]["title"]["text"])

    @property
    def figure(self) -> go.Figure:
        """A new plotly Figure of the drawing, to restyle or save as you like."""
        import plotly.graph_objects as go

        return go.Figure(data=self.drawing["data"], layout=self.drawing["layout"])

    @property
    def still(self) -> str:
        """The drawing as one <svg>, for a place that runs no script."""
        return still_svg(self.drawing, self.alt)

    def __str__(self) -> str:
        return f"{self.alt}\n\n{self.table.text()}"

    def __repr__(self) -> str:
        return str(self)

    def figure_bundle(self) -> dict[str, Any]:
        """Return the figure by MIME type: plotly's JSON, a still picture as HTML, and all as plain text."""
        return {
            PLOTLY_MIME: {**self.drawing, "config": dict(style.CONFIG)},
            "text/html": self.still,
            "text/plain": str(self),
        }

    def words_html(self) -> str:
        """Return the sentence, then the table folded away under a heading that opens it."""
        return words_html(self.alt, self.table)

    def _ipython_display_(self) -> None:
        # Two outputs: of one, a notebook shows only the richest type, and the words would never be seen.
        from IPython.display import display

        display(self.figure_bundle(), raw=True)
        display({"text/html": self.words_html(), "text/plain": ""}, raw=True)


def words_html(alt: str, table: Table) -> str:
    """Return the sentence, then the table folded away under a heading that opens it."""
    return (
        f"<p>{escape(alt)}</p>\n<details><summary>The same data as a table</summary>\n"
        f'<div style="overflow-x:auto" role="region" tabindex="0" '
        f'aria-label="{escape(table.caption)}">\n'
        f"{table.html()}\n</div></details>"
    )
