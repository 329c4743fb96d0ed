"""Every lesson runs from top to bottom in the kernel "Lab", without an error and without a word on stderr."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyterserver import jupyter_environment

from labkit.chart.picture import PLOTLY_MIME
from labkit.course.lesson import lesson_sources, notebook_text

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = lesson_sources(NOTEBOOKS / "source")
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def released(lesson):
    return NOTEBOOKS / f"{lesson.stem}.ipynb"


def test_there_is_a_notebook_for_each_lesson_and_no_other():
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} == {released(lesson).name for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_notebook_is_its_source_made_anew(lesson):
    assert released(lesson).read_text(encoding="utf-8") == notebook_text(lesson), "run: make notebooks"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_form_of_a_lesson(lesson):
    notebook = nbformat.read(released(lesson), as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].source.startswith("# ")
    assert sum(line.startswith("# ") for line in prose.splitlines()) == 1
    assert "?" in notebook.cells[0].source.splitlines()[0], "the title is the question"
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert max(len(cell.source.splitlines()) for cell in code) <= 12
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def executed(request, jupyter_data, tmp_path_factory):
    """The lesson's notebook after nbclient has run it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("lesson")
    name = released(request.param).name
    shutil.copy(released(request.param), folder)
    environment = jupyter_environment(folder, JUPYTER_PATH=str(jupyter_data))
    execute = [Path(sys.executable).parent / "jupyter-execute", "--inplace", "--timeout=60", name]
    done = subprocess.run(execute, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return nbformat.read(folder / name, as_version=4)


def test_every_cell_runs_with_a_clean_stderr(executed):
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


def test_charts_are_drawn_for_jupyterlab_and_for_a_page_without_scripts(executed):
    drawn = [output.data for cell in executed.cells for output in cell.get("outputs", []) if "data" in output]
    charts = [data for data in drawn if PLOTLY_MIME in data]
    assert charts
    assert all(data["text/html"].startswith("<svg") for data in charts)


def test_the_first_lesson_shows_what_its_prose_says(executed):
    if "00-" not in executed.cells[0].id and "What is in this lab" not in executed.cells[0].source:
        pytest.skip("another lesson")
    said = "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for cell in executed.cells
        for output in cell.get("outputs", [])
    )
    assert {"lan", "node-1", "node-2", "web-1", "web-4", "client", "outside"} <= set(said.split())
    assert "IP / TCP 10.96.0.10:http > 10.244.1.128:5555 SA" in said
    assert "75 each of 300" in said
    assert said.count("pod=default/web-") >= 4
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert any(WIDGET_MIME in output.get("data", {}) for output in outputs)
