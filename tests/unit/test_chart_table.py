from html.parser import HTMLParser
from pathlib import Path

import chart_samples as samples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.chart.comparison import comparison_table
from labkit.chart.distribution import show_distribution
from labkit.chart.latency import show_latency
from labkit.chart.table import Column, Table

GOLDEN = Path(__file__).parents[1] / "golden" / "chart"


class Cells(HTMLParser):
    """The text of every cell, row by row, and the scope of every heading."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.scopes: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data != "\n":
            self.rows[-1][-1] += data


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("distribution", show_distribution(samples.fourteen()).table),
        ("latency", show_latency(samples.fourteen()).table),
        ("comparison", comparison_table(samples.fourteen())),
        ("comparison-services", comparison_table(samples.many_services())),
    ],
)
def test_text_of_a_table_is_as_agreed(name, table):
    assert table.text() + "\n" == (GOLDEN / f"{name}.expected").read_text(encoding="utf-8")


def test_rows_of_another_width_than_the_headings_are_refused():
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", (Column("a"),), (("1", "2"),))


def test_numbers_stand_right_and_words_left():
    table = Table("t", (Column("word", "left"), Column("number")), (("a", "1"), ("bcdef", "100")))
    assert table.text().splitlines()[3:] == ["a           1", "bcdef     100"]


cell = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
    lambda text: text.strip()
)


@given(st.lists(st.tuples(cell, cell), min_size=1))
def test_html_holds_every_cell_whatever_its_characters(rows):
    cells = Cells(Table("t", (Column("a", "left"), Column("b")), tuple(rows)).html())
    assert cells.rows == [["a", "b"], *map(list, rows)]
    assert cells.scopes == ["col", "col", *["row"] * len(rows)]


def test_lines_of_one_group_stand_under_its_heading():
    rows = (("s1", "rr", "1"), ("s1", "lc", "2"), ("s2", "rr", "3"))
    cells = Cells(Table("t", (Column("Service"), Column("algorithm"), Column("n")), rows, names=2).html())
    assert cells.rows == [["algorithm", "n"], ["s1"], ["rr", "1"], ["lc", "2"], ["s2"], ["rr", "3"]]
    assert cells.scopes == ["col", "col", "rowgroup", "row", "row", "rowgroup", "row"]


def test_comparison_notes_errors_and_overload_only_where_there_are_any():
    assert "note" not in comparison_table(samples.fourteen()).text()
    troubled = samples.run("lc", (50, 50, 50, 50), errors={"timeout": 2, "refused": 1}, overloaded=True)
    assert comparison_table([troubled]).rows[0][-1] == "2 timeout, 1 refused, overloaded"


def test_comparison_of_virtual_time_says_so():
    assert comparison_table([samples.run(clock="virtual")]).caption == "Every run side by side, virtual time"
    assert comparison_table([samples.run()]).caption == "Every run side by side"


def test_comparison_keeps_clocks_apart():
    table = comparison_table([samples.run(), samples.run(clock="virtual")])
    assert [row[0] for row in table.rows] == [
        "default/web:80 TCP, real time",
        "default/web:80 TCP, virtual time",
    ]


def test_a_narrow_terminal_gets_the_columns_that_matter_most():
    table = Table(
        "t", (Column("name", "left"), Column("first, ms"), Column("second, ms")), (("a", "1", "2"),)
    )
    wide = max(map(len, table.text().splitlines()))
    titles = lambda fitted: [column.title for column in fitted.columns]  # noqa: E731
    assert table.fitted(wide, ("second", "first")) == table
    assert titles(table.fitted(wide - 1, ("second", "first"))) == ["name", "first, ms"]
    assert titles(table.fitted(1, ("second", "first"))) == ["name"]
    assert table.fitted(1, ("second",)).rows == (("a", "1"),)
