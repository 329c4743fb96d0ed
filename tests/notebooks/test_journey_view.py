"""A journey in JupyterLab: stepped, played, by keyboard, as a screen reader hears it; and as a picture."""

from pathlib import Path
from typing import get_args

import nbformat
import pytest
from browser import wait_until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from labkit.chart.journey_view import show_journey
from labkit.chart.ladder import ladder_svg
from labkit.chart.topology import topology_diagram
from labkit.measure.journey.form import from_json
from labkit.measure.journey.levels import Level
from labkit.spec.addressing import plan_addresses
from labkit.spec.balancer import plan_balancer
from labkit.spec.cluster import read_manifests

RECORDED = Path(__file__).parents[1] / "samples/journey/recorded"
SAMPLES = {path.stem: path for path in RECORDED.glob("*.json")}
CELL = """
from pathlib import Path
from labkit import show_journey
from labkit.measure.journey.form import from_json
view = show_journey(from_json(Path({path!r}).read_text()))
view.observe(lambda change: Path("step.txt").write_text(str(change.new)), "step")
view
"""
SHOWN = "return document.querySelector('.labkit-journey .spoken')?.textContent ?? ''"


@pytest.fixture(scope="module")
def told():
    return show_journey(from_json(SAMPLES["iptables"].read_text()))


@pytest.fixture(scope="module")
def page(jupyterlab):
    """The browser with the view of the sample journey in JupyterLab."""
    browser = open_journey(jupyterlab, "iptables")
    yield browser
    browser.save_screenshot(str(jupyterlab.folder / "journey.png"))  # to be looked at


def open_journey(jupyterlab, sample):
    """Open a notebook that shows a sample journey, and return the browser when it does."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL.format(path=str(SAMPLES[sample])))]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, jupyterlab.folder / f"journey-{sample}.ipynb")
    browser = jupyterlab.open(f"journey-{sample}.ipynb", "Python 3 (ipykernel)")
    wait_until(browser, "return document.querySelector('.labkit-journey svg .token')")
    return browser


@pytest.fixture
def view(page):
    """The page with the keyboard in the ladder and all steps shown."""
    page.execute_script("document.querySelector('.labkit-journey .ladder').focus()")
    press(page, Keys.ESCAPE)
    wait_until(page, "return !document.querySelector('.labkit-journey .now')")
    return page


def press(page, *keys):
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def wait_for_step(page, told, number):
    """Wait until a step is shown, spoken and marked, and nothing but it."""
    says = f"Step {number} of {len(steps(told))}. {steps(told)[number - 1]['says']}"
    wait_until(page, f"{SHOWN} === arguments[0]", says)
    marked = page.find_elements(By.CSS_SELECTOR, ".labkit-journey [data-step].now")
    assert [one.get_attribute("data-step") for one in marked] == [str(number)]
    later = page.find_elements(By.CSS_SELECTOR, ".labkit-journey [data-step].later")
    assert len(later) == len(steps(told)) - number


def steps(told, level="summary"):
    return told.views[level]["steps"]


def test_the_arrow_keys_step_home_and_end_jump(view, told):
    press(view, Keys.ARROW_RIGHT)
    wait_for_step(view, told, 1)
    press(view, Keys.ARROW_DOWN)
    wait_for_step(view, told, 2)
    press(view, Keys.END)
    wait_for_step(view, told, len(steps(told)))
    press(view, Keys.ARROW_RIGHT)
    wait_for_step(view, told, len(steps(told)))
    press(view, Keys.ARROW_LEFT)
    wait_for_step(view, told, len(steps(told)) - 1)
    press(view, Keys.HOME)
    wait_for_step(view, told, 1)


def test_python_follows_the_step(view, told, jupyterlab):
    press(view, Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_for_step(view, told, 3)
    followed = jupyterlab.folder / "step.txt"
    WebDriverWait(view, 30).until(lambda _: followed.exists() and followed.read_text() == "3")


def test_the_buttons_step_and_the_mouse_chooses(view, told):
    button = {one.get_attribute("aria-label"): one for one in view.find_elements(By.CSS_SELECTOR, "button")}
    button["Next step"].click()
    wait_for_step(view, told, 1)
    button["Next step"].click()
    wait_for_step(view, told, 2)
    button["Previous step"].click()
    wait_for_step(view, told, 1)
    view.find_element(By.CSS_SELECTOR, '.labkit-journey [data-step="3"] text').click()
    wait_for_step(view, told, 3)


def test_p_plays_and_pauses(view, told):
    press(view, "p")
    label = "return document.querySelector('.labkit-journey .toolbar button:nth-child(2)').ariaLabel"
    wait_until(view, f"{label} === 'Pause'")
    wait_until(view, f"{SHOWN}.startsWith('Step 2 of')")
    press(view, "P")
    wait_until(view, f"{label} === 'Play'")


def test_the_rule_of_a_step_is_marked_among_the_node_s_rules(view, told):
    number = next(n for n, step in enumerate(steps(told), 1) if "this rule chooses" in step["says"])
    press(view, Keys.HOME, *[Keys.ARROW_RIGHT] * (number - 1))
    wait_for_step(view, told, number)
    step = steps(told)[number - 1]
    expected = told.rulesets[step["ruleset"]]["lines"][step["line"] - 1].strip()
    marked = "return document.querySelector('.labkit-journey .lines [aria-current]')?.textContent.trim()"
    assert wait_until(view, marked) == expected
    assert "KUBE-SVC-" in expected


def test_every_level_can_be_chosen(view, told):
    menu = Select(view.find_element(By.CSS_SELECTOR, ".labkit-journey select"))
    for name in ("Everything", "Every rule", "Summary"):
        menu.select_by_visible_text(name)
        level = dict(zip(("Summary", "Every rule", "Everything"), get_args(Level), strict=True))[name]
        count = f"{len(steps(told, level))} steps"
        wait_until(view, f"return document.querySelector('.labkit-journey .count').textContent === '{count}'")


def test_what_a_screen_reader_is_told(view, told):
    press(view, Keys.HOME)
    wait_for_step(view, told, 1)
    nodes = view.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    heard = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    }
    expected = {
        ("group", told.title),
        ("toolbar", "Steps of the journey"),
        ("button", "Previous step"),
        ("button", "Play"),
        ("button", "Next step"),
        ("button", "Show all steps"),
        ("slider", "Step"),
        ("combobox", "How much is shown"),
        ("region", "The ladder"),
        ("region", "Rules of the node"),
    }
    assert expected <= heard
    # Chromium calls an image `image` or `img`, as its version is.
    assert {("image", told.title), ("img", told.title)} & heard
    status = next(node for node in nodes if node["role"]["value"] == "status")
    assert {"name": "live", "value": {"type": "token", "value": "polite"}} in status["properties"]
    slider = next(node for node in nodes if node["role"]["value"] == "slider" and "Step" in str(node["name"]))
    assert slider["value"]["value"] in {1, "1", f"Step 1 of {len(steps(told))}"}


def test_the_still_picture_is_not_shown_beside_the_view(view):
    (still,) = view.find_elements(By.CSS_SELECTOR, ".labkit-still")
    assert not still.is_displayed()


def test_nothing_moves_for_those_who_asked_for_it(view):
    reduced = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    length = "return getComputedStyle(document.querySelector('.labkit-journey .token')).transitionDuration"
    assert view.execute_script(length) == "0.5s"
    view.execute_cdp_cmd("Emulation.setEmulatedMedia", reduced)
    assert view.execute_script(length) == "0s"
    view.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_picture_follows_jupyterlab_s_theme(view):
    ground = "return getComputedStyle(document.querySelector('.labkit-journey svg rect')).fill"
    view.execute_script("document.body.dataset.jpThemeLight = 'true'")
    light = view.execute_script(ground)
    view.execute_script("document.body.dataset.jpThemeLight = 'false'")
    assert (light, view.execute_script(ground)) == ("rgb(255, 255, 255)", "rgb(17, 17, 17)")
    view.execute_script("document.body.dataset.jpThemeLight = 'true'")


def test_no_text_of_a_still_picture_overlaps_another(jupyterlab, tmp_path):
    told = [from_json(path.read_text()) for path in SAMPLES.values()]
    pictures = [ladder_svg(one, level) for one in told for level in get_args(Level)]
    pictures += [topology_diagram(*shipped(name)).svg for name in ("web", "shop", "ingress-two-addresses")]
    path = tmp_path / "pictures.html"
    path.write_text("".join(pictures), encoding="utf-8")
    browser = jupyterlab.browser
    browser.switch_to.new_window("tab")
    try:
        browser.get(path.as_uri())
        assert browser.execute_script("return document.querySelectorAll('svg').length") == len(pictures)
        assert browser.execute_script(OVERLAPS) == []
    finally:
        browser.close()
        browser.switch_to.window(browser.window_handles[0])


def shipped(name):
    cluster = read_manifests([name])
    return cluster, plan_addresses(cluster, None, plan_balancer(cluster))


OVERLAPS = """
const found = [];
for (const picture of document.querySelectorAll('svg')) {
  const frame = picture.viewBox.baseVal;
  const boxes = [...picture.querySelectorAll('text')].map(text => [text.textContent, text.getBBox()]);
  boxes.forEach(([words, box], number) => {
    if (box.x < 0 || box.x + box.width > frame.width || box.y + box.height > frame.height) found.push(words);
    for (const [other, place] of boxes.slice(number + 1)) {
      const across = Math.min(box.x + box.width, place.x + place.width) - Math.max(box.x, place.x);
      const down = Math.min(box.y + box.height, place.y + place.height) - Math.max(box.y, place.y);
      if (across > 1 && down > 3) found.push([words, other]);  // a box is higher than its letters
    }
  });
}
return found;
"""


def test_before_the_first_step_stand_the_rules_that_the_journey_meets(jupyterlab):
    browser = open_journey(jupyterlab, "nftables")
    heading = browser.find_element(By.CSS_SELECTOR, ".labkit-journey .rules h4")
    assert "nft" in heading.text
