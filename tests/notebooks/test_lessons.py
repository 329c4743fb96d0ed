"""Every lesson has a lesson's form and runs, with its solutions, twice in a row in the kernel "Lab"."""

from pathlib import Path

import pytest

from labkit.chart.picture import PLOTLY_MIME
from labkit.course.form import check_form
from labkit.course.lesson import lesson_sources, notebook_text, plan_student_notebook
from labkit.course.rehearsal import check_outputs, rehearse

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = lesson_sources(NOTEBOOKS / "source")
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def released(lesson):
    return NOTEBOOKS / f"{lesson.stem}.ipynb"


def test_there_is_a_notebook_for_each_lesson_and_no_other():
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} == {released(lesson).name for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_notebook_is_its_source_made_anew(lesson):
    text = notebook_text(plan_student_notebook(lesson))
    assert released(lesson).read_text(encoding="utf-8") == text, "run: make notebooks"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_form_of_a_lesson(lesson):
    assert check_form(lesson) == ()


# The first and the one with rules of the learner's own; `make test-course` runs them all.
RUN = [
    pytest.param(lesson, id=lesson.stem, marks=() if lesson.stem[:2] in {"00", "02"} else pytest.mark.slow)
    for lesson in LESSONS
]


@pytest.fixture(scope="module", params=RUN)
def executed(request, jupyter_data):
    """What the lesson's rehearsal showed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(jupyter_data))
        yield rehearse(request.param)


def test_every_cell_runs_twice_with_a_clean_stderr_and_solutions_earn_all(executed):
    assert check_outputs(executed) == ()


def test_charts_are_drawn_for_jupyterlab_and_for_a_page_without_scripts(executed):
    drawn = [
        output.data
        for cell in executed.notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    charts = [data for data in drawn if PLOTLY_MIME in data]
    assert charts
    assert all(data["text/html"].startswith("<svg") for data in charts)


def test_the_first_lesson_shows_what_its_prose_says(executed):
    if executed.lesson != "00-the-lab":
        pytest.skip("another lesson")
    said = "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for cell in executed.notebook.cells
        for output in cell.get("outputs", [])
    )
    assert {"lan", "node-1", "node-2", "web-1", "web-4", "client", "outside"} <= set(said.split())
    assert "IP / TCP 10.96.0.10:http > 10.244.1.128:5555 SA" in said
    assert "75 each of 300" in said
    assert said.count("pod=default/web-") >= 4
    outputs = [output for cell in executed.notebook.cells for output in cell.get("outputs", [])]
    assert any(WIDGET_MIME in output.get("data", {}) for output in outputs)
