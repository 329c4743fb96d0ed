"""Charts where learners meet them: in JupyterLab without internet, and in nbconvert's page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import chart_samples as samples
import nbformat
import pytest
from browser import open_browser, wait_until
from jupyterserver import jupyter_environment, serve

from labkit.chart.distribution import show_distribution
from labkit.chart.picture import PLOTLY_MIME

TESTS = str(Path(__file__).parents[1])

CELL = """
import chart_samples as samples
from labkit.chart.distribution import show_distribution
show_distribution(samples.fourteen())
"""


def write_notebook(path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL.strip(), id="chart")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, path)


def test_nbconvert_shows_picture_sentence_and_table(tmp_path):
    write_notebook(tmp_path / "chart.ipynb")
    environment = jupyter_environment(tmp_path, PYTHONPATH=TESTS)
    for kind, target in (("notebook", "run.ipynb"), ("html", "run.html")):
        source = "chart.ipynb" if kind == "notebook" else "run.ipynb"
        command = [sys.executable, "-m", "nbconvert", "--to", kind, "--output", target, source]
        command += ["--execute"] if kind == "notebook" else []
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    (cell,) = nbformat.read(tmp_path / "run.ipynb", as_version=4).cells
    assert [output.output_type for output in cell.outputs] == ["display_data", "display_data"]
    assert PLOTLY_MIME in cell.outputs[0].data
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    chart = show_distribution(samples.fourteen())
    assert f"<desc>{chart.alt}</desc>" in page
    assert f"<p>{chart.alt}</p>" in page
    assert chart.table.html() in page


@pytest.fixture(scope="module")
def lab_address(tmp_path_factory):
    """The address of a notebook that JupyterLab serves here."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    write_notebook(folder / "chart.ipynb")
    environment = jupyter_environment(folder, PYTHONPATH=TESTS)
    execute = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "chart.ipynb"]
    subprocess.run(execute, cwd=folder, env=environment, check=True, capture_output=True)
    with serve(folder, environment) as address:
        yield f"{address}lab/tree/chart.ipynb"


@pytest.fixture(scope="module")
def notebook(lab_address, tmp_path_factory):
    """The browser with the notebook open in JupyterLab."""
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.get(lab_address)
        yield browser


def test_jupyterlab_draws_the_figure_without_internet(notebook):
    labels = "[...document.querySelectorAll('.js-plotly-plot .ytick text')].map(label => label.textContent)"
    wait_until(notebook, f"return {labels}.includes('ipvs nq')")
    assert wait_until(notebook, "return document.querySelector('.jp-OutputArea details summary').textContent")
    events = [json.loads(entry["message"])["message"] for entry in notebook.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert [url for url in asked if not re.match(r"(data|blob|chrome):|(http|ws)://127\.0\.0\.1:", url)] == []
