"""Charts and controls where learners meet them: a notebook in JupyterLab without internet, and nbconvert's page of it."""

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
CELLS = (
    """
import chart_samples as samples
from labkit.chart.controls import AlgorithmChooser, ProgressBar
from labkit.chart.distribution import show_distribution
from labkit.errors import RequestError
show_distribution(samples.fourteen())
""",
    """
go = threading.Event()
def measure(mode, scheduler, connections):
    if scheduler == "sed":
        raise RequestError("no scheduler 'sed' here", where="ipvs", todo="choose another")
    open("go").read()
    return show_distribution([samples.run(scheduler, (connections // 4,) * 4, mode=mode)])
AlgorithmChooser(measure, [("iptables", "random"), ("ipvs", "rr"), ("ipvs", "sed")])
""",
    """
with ProgressBar() as bar:
    bar(3, 14, "ipvs lc")
    open("go").read()
""",
)


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(cell.strip(), id=f"cell-{number}") for number, cell in enumerate(cells)
        ],
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
    write_notebook(tmp_path / "chart.ipynb", CELLS[:1])
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
    """The address of a notebook that JupyterLab serves here, and the pipe its cells wait for."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    write_notebook(folder / "chart.ipynb", CELLS)
    os.mkfifo(folder / "go")  # a cell that reads it waits for the test
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
    yield f"{_served(server, folder)}lab/tree/chart.ipynb", folder / "go"
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)


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

    def __init__(self, browser, address, pipe):
        self.browser, self.pipe = browser, pipe
        browser.get(address)
        self.wait("return document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')")

    def wait(self, script, *arguments):
        return WebDriverWait(self.browser, 60).until(
            lambda browser: browser.execute_script(script, *arguments)
        )

    def press(self, *keys):
        chain = selenium.ActionChains(self.browser)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def run(self, number):
        """Run a cell, and wait until JupyterLab has begun or ended it."""
        cell = f"document.querySelectorAll('.jp-CodeCell')[{number}]"
        self.wait(
            f"const text = {cell}?.querySelector('.cm-content'); return text?.offsetHeight && text"
        ).click()
        keys = selenium.Keys
        selenium.ActionChains(self.browser).key_down(keys.SHIFT).send_keys(keys.ENTER).key_up(
            keys.SHIFT
        ).perform()
        self.wait(f"return /\\d|\\*/.test({cell}.querySelector('.jp-InputPrompt').textContent)")

    def go_on(self):
        """Let the waiting cell go on."""
        self.pipe.write_text("")


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
        yield Notebook(driver, *lab_address)
    finally:
        driver.quit()


def test_jupyterlab_draws_the_figure_without_internet(notebook):
    notebook.run(0)
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


STATUS = "[...document.querySelectorAll('[role=status]')].map(one => one.textContent).join('|')"
BUTTON = "[...document.querySelectorAll('button')].find(one => one.textContent.trim() == 'Measure')"
MENU = "[...document.querySelectorAll('select')].find(one => one.textContent.includes('ipvs sed'))"


def test_the_chooser_measures_and_shows_the_chart_by_keyboard(notebook):
    notebook.run(1)
    notebook.wait(f"return {STATUS}.includes('Ready.')")
    assert notebook.browser.execute_script(f"return {MENU}.labels[0].textContent") == "Algorithm"
    notebook.browser.execute_script(f"{BUTTON}.focus()")
    notebook.press(selenium.Keys.ENTER)
    notebook.wait(f"return {STATUS}.includes('Measuring iptables random')")
    assert notebook.wait(f"return {BUTTON}.disabled && {MENU}.disabled")
    notebook.go_on()
    notebook.wait(f"return {STATUS}.includes('Done: iptables random.') && !{BUTTON}.disabled")
    notebook.wait("return document.querySelectorAll('.js-plotly-plot').length == 2")


def test_the_chooser_shows_the_python_and_an_error_s_own_lines(notebook):
    choose = "const menu = arguments[0]; menu.selectedIndex = 2; menu.dispatchEvent(new Event('change'));"
    notebook.browser.execute_script(choose, notebook.wait(f"return {MENU}"))
    notebook.wait("return document.body.textContent.includes(\"measure('ipvs', 'sed', 300)\")")
    notebook.browser.execute_script(f"{BUTTON}.click()")
    notebook.wait(
        f"return {STATUS}.includes(\"no scheduler 'sed' here\\n  where: ipvs\\n  to do: choose another\")"
    )


def test_the_progress_bar_advances_and_goes(notebook):
    notebook.run(2)
    notebook.wait(f"return {STATUS}.includes('3 of 14: ipvs lc')")
    notebook.go_on()
    notebook.wait(f"return !{STATUS}.includes('3 of 14')")
