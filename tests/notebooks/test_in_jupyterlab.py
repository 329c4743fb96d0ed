"""The first lesson by hand: JupyterLab in a browser, the kernel "Lab", every cell run, the control used."""

import shutil
from pathlib import Path

import pytest
from browser import open_browser, wait_until
from jupyterserver import jupyter_environment, serve

LESSON = Path(__file__).parents[2] / "notebooks/00-the-lab.ipynb"
# The status bar says "Lab | Idle" when the kernel is ready.
IDLE = (
    "return document.body.innerText.includes('Lab | Idle') || document.body.innerText.includes('Lab | idle')"
)


@pytest.fixture(scope="module")
def lesson(jupyter_data, tmp_path_factory):
    """The browser with the first lesson open in JupyterLab and all its cells run."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    shutil.copy(LESSON, folder)
    environment = jupyter_environment(folder, JUPYTER_PATH=str(jupyter_data))
    with serve(folder, environment) as address, open_browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.get(f"{address}lab/tree/{LESSON.name}")
        wait_until(browser, IDLE)
        run_all(browser)
        yield browser
        browser.save_screenshot(str(folder / "lesson.png"))  # to be looked at


def run_all(browser):
    """Click Run > Run All Cells, and wait until the last cell has its number."""
    from selenium.webdriver.common.by import By

    def click(label, kind):
        entry = wait_until(
            browser,
            f"const entries = [...document.querySelectorAll('{kind}')];"
            "return entries.find(one => one.innerText.trim() === arguments[0])",
            label,
        )
        entry.click()

    click("Run", ".lm-MenuBar-itemLabel")
    click("Run All Cells", ".lm-Menu-itemLabel")
    wait_until(
        browser,
        """
        const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
        return prompts.length > 5 && prompts.every(one => /\\[\\d+\\]/.test(one.innerText));
        """,
    )
    assert browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell")


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
