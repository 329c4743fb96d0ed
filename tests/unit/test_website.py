"""What a lesson's page shows of a notebook that has run, and that a run is kept as long as it is true."""

import sys
from pathlib import Path

import nbformat.v4 as nb
import pytest

from labkit.chart.picture import PLOTLY_MIME

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def website():
    """The site's modules, which are no package: Python runs their folder."""
    sys.path.insert(0, str(ROOT / "tools/website"))
    import lessons
    import pages

    sys.path.pop(0)
    return lessons, pages


def shown(website, *outputs, **metadata):
    lessons, _ = website
    cell = nb.new_code_cell("show()", outputs=list(outputs), metadata=metadata)
    return lessons.page_notebook(nb.new_notebook(cells=[cell], metadata={"widgets": {}}))


def display(data):
    return nb.new_output("display_data", data=data)


def test_controls_are_named_and_leave_nothing_that_a_page_would_load(website):
    lessons, _ = website
    page = shown(website, display({lessons.WIDGET_MIME: {"model_id": "1"}, "text/plain": "VBox()"}))
    assert page.metadata == {}
    assert page.cells[0].outputs[0].data == {"text/html": lessons.NO_CONTROLS, "text/plain": "VBox()"}


def test_of_a_chart_the_still_picture_stays(website):
    picture = {"text/html": "<svg></svg>", "text/plain": "a chart"}
    page = shown(website, display({PLOTLY_MIME: {"data": []}, **picture}))
    assert page.cells[0].outputs[0].data == picture
    assert "tags" not in page.cells[0].metadata


def test_what_was_written_in_pieces_is_whole_again(website):
    pieces = [nb.new_output("stream", name="stdout", text=text) for text in ("10.2", "44.1.2\n", "next")]
    page = shown(website, *pieces, display({"text/plain": "2"}))
    assert [output.get("text") for output in page.cells[0].outputs] == ["10.244.1.2\nnext", None]


def test_a_solution_is_folded_away_and_nbgrader_s_marks_are_gone(website):
    page = shown(website, nbgrader={"solution": True, "grade_id": "00-it"})
    assert page.cells[0].metadata == {"tags": ["hide-input"]}


def test_a_solution_is_read_without_nbgrader_s_marks_around_it(website):
    lessons, _ = website
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    cell = nb.new_code_cell(source, metadata={"nbgrader": {"solution": True}})
    (shown_cell,) = lessons.page_notebook(nb.new_notebook(cells=[cell])).cells
    assert shown_cell.source == "def f():\n    return 1"


def test_the_executed_notebook_is_not_changed(website):
    lessons, _ = website
    notebook = nb.new_notebook(cells=[nb.new_code_cell("1", metadata={"nbgrader": {"solution": True}})])
    lessons.page_notebook(notebook)
    assert notebook.cells[0].metadata == {"nbgrader": {"solution": True}}


def test_a_run_counts_for_this_source_and_this_code(website, tmp_path):
    lessons, _ = website
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("1")
    other.write_text("2")
    before = lessons.digest([one, other], tmp_path)
    assert lessons.digest([one, other], tmp_path) == before
    other.write_text("3")
    assert lessons.digest([one, other], tmp_path) != before


def test_what_a_run_depends_on_is_the_package_and_its_linux(website):
    lessons, _ = website
    files = {str(path.relative_to(ROOT)) for path in lessons.what_runs(ROOT)}
    assert {"labkit/chart/still.py", "labkit/labs/web.yaml", "labkit/chart/journey_view.js"} <= files
    assert "guest-kernel/src/labkit_guest/manifest.json" in files


def test_what_documents_link_to_comes_along(website):
    _, pages = website
    linked = {str(path.relative_to(ROOT)) for path in pages.linked_files(ROOT / "README.md", ROOT)}
    assert {"LICENSE", "labkit/measure/results.schema.json"} <= linked
    assert not {"CONTRIBUTING.md", "docs/journey.md"} & linked


def test_the_reference_names_everything_that_is_public(website):
    import labkit

    _, pages = website
    page = pages.api_page()
    assert all(f":: labkit.{name}\n" in page for name in labkit.__all__)
