"""Charts where learners meet them: in JupyterLab without internet, and in nbconvert's page."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import chart_samples as samples
import nbformat
import pytest

from labkit.chart.distribution import show_distribution
from labkit.chart.picture import PLOTLY_MIME

selenium = pytest.importorskip("selenium.webdriver")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

TESTS = Path(__file__).parents[1]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,2400",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
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


def environment(folder):
    """An environment in which Jupyter keeps everything in `folder`."""
    kinds = ("CONFIG", "DATA", "RUNTIME")
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(TESTS),
        "HOME": str(folder),
        **{f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in kinds},
    }


def test_nbconvert_shows_picture_sentence_and_table(tmp_path):
    write_notebook(tmp_path / "chart.ipynb")
    for kind, target in (("notebook", "run.ipynb"), ("html", "run.html")):
        source = "chart.ipynb" if kind == "notebook" else "run.ipynb"
        command = [sys.executable, "-m", "nbconvert", "--to", kind, "--output", target, source]
        command += ["--execute"] if kind == "notebook" else []
        subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), check=True, capture_output=True)
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
    execute = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "chart.ipynb"]
    subprocess.run(execute, cwd=folder, env=environment(folder), check=True, capture_output=True)
    options = ("--no-browser", "--allow-root", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *options,
        "--IdentityProvider.token=",
        "--LabApp.news_url=None",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=log, stderr=log, start_new_session=True
        )
    yield f"{_served(server, folder)}lab/tree/chart.ipynb"
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _served(server, folder):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, (folder / "log").read_text()
        for found in re.findall(r"http://127\.0\.0\.1:\d+/", (folder / "log").read_text()):
            return found
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


class Notebook:
    """The notebook open in JupyterLab in a browser."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)

    def wait(self, script, *arguments):
        return WebDriverWait(self.browser, 60).until(
            lambda browser: browser.execute_script(script, *arguments)
        )


@pytest.fixture(scope="module")
def notebook(lab_address, tmp_path_factory):
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromium-driver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    try:
        yield Notebook(driver, lab_address)
    finally:
        driver.quit()


def test_jupyterlab_draws_the_figure_without_internet(notebook):
    labels = "[...document.querySelectorAll('.js-plotly-plot .ytick text')].map(label => label.textContent)"
    notebook.wait(f"return {labels}.includes('ipvs nq')")
    assert notebook.wait("return document.querySelector('.jp-OutputArea details summary').textContent")
    events = [json.loads(entry["message"])["message"] for entry in notebook.browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert [url for url in asked if not re.match(r"(data|blob|chrome):|(http|ws)://127\.0\.0\.1:", url)] == []
