"""The control room in JupyterLab, by keyboard alone."""

import nbformat
import pytest
from browser import wait_until
from selenium.webdriver.common.keys import Keys

CELLS = ("from labkit import Lab, control_room\nlab = Lab.open('web')", "control_room(lab, connections=10)")
FOCUSED = "return document.activeElement.innerText?.trim()"
SAID = "return document.querySelector('.jp-OutputArea-output [role=status]')?.innerText ?? ''"
DRAWN = "[...document.querySelectorAll('.jp-OutputArea-output desc')].map(one => one.textContent).join()"


@pytest.fixture(scope="module")
def room(jupyterlab):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"name": "labkit", "display_name": "Lab", "language": "python"}
    nbformat.write(notebook, jupyterlab.folder / "room.ipynb")
    browser = jupyterlab.open("room.ipynb", "Lab")
    first = wait_until(browser, "return document.querySelector('.widget-dropdown select')")
    browser.execute_script("arguments[0].focus()", first)
    yield browser
    browser.save_screenshot(str(jupyterlab.folder / "room.png"))  # to be looked at


def tab_to(browser, label):
    """Press Tab until the button with this label has the keyboard."""
    for _ in range(30):
        if browser.execute_script(FOCUSED) == label:
            return browser.switch_to.active_element
        browser.switch_to.active_element.send_keys(Keys.TAB)
    raise AssertionError(label)


def test_traffic_runs_and_a_pod_dies_without_a_mouse(room):
    tab_to(room, "Start traffic").send_keys(Keys.ENTER)
    wait_until(room, f"return /Round [2-9]/.test({DRAWN})")
    tab_to(room, "Refuses").send_keys(Keys.ENTER)
    wait_until(room, f"{SAID}.includes('lab.kill(\"web-1\")')")
    wait_until(room, f"return /failed/.test({DRAWN})")
