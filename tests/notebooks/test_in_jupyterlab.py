"""The first lesson by hand: JupyterLab in a browser, the kernel "Lab", every cell run, the control used."""

from pathlib import Path

import pytest
from browser import wait_until

from labkit.course.lesson import notebook_text, plan_notebook

LESSON = Path(__file__).parents[2] / "notebooks/source/00-the-lab.py"


@pytest.fixture(scope="module")
def lesson(jupyterlab):
    """The browser with the first lesson open in JupyterLab and all its cells run, the exercise solved.

    In the learners' own version Run All stops at the first exercise that waits for an answer.
    """
    notebook = jupyterlab.folder / f"{LESSON.stem}.ipynb"
    notebook.write_text(notebook_text(plan_notebook(LESSON)), encoding="utf-8")
    browser = jupyterlab.open(notebook.name, "Lab")
    yield browser
    browser.save_screenshot(str(jupyterlab.folder / "lesson.png"))  # to be looked at


def test_plotly_draws_both_charts(lesson):
    labels = "[...document.querySelectorAll('.js-plotly-plot .ytick text')].map(label => label.textContent)"
    assert wait_until(lesson, f"return {labels}.includes('ipvs rr') && {labels}.includes('iptables random')")


def test_no_cell_shows_an_error(lesson):
    assert (
        lesson.execute_script("return document.querySelectorAll('[data-mime-type*=\"error\"]').length") == 0
    )


def test_the_control_measures_the_algorithm_that_is_chosen(lesson):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    menu = wait_until(lesson, "return document.querySelector('.widget-dropdown select')")
    lesson.execute_script("arguments[0].scrollIntoView({block: 'center'})", menu)
    Select(menu).select_by_visible_text("ipvs sh")
    wait_until(lesson, 'return document.body.innerText.includes(\'lab.reset("ipvs", "sh")\')')
    lesson.find_element(By.CSS_SELECTOR, "button.widget-button").click()
    wait_until(lesson, "return document.body.innerText.includes('Done: ipvs sh.')")
    labels = "[...document.querySelectorAll('.widget-output .js-plotly-plot .ytick text')]"
    wait_until(lesson, f"return {labels}.some(label => label.textContent === 'ipvs sh')")
