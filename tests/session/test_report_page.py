"""The report page in a real browser: it opens from a file, asks for nothing, and is drawn at any width."""

import json
from dataclasses import replace

import chart_samples as samples
import pytest
from browser import open_browser
from selenium.webdriver.support.ui import WebDriverWait

from labkit.chart.report import report_html
from labkit.chart.rewriting import Rewriting

TROUBLE = (
    samples.run(errors={"timeout": 3}),
    samples.run("lc", (299, 0, 0, 1), p_value=1e-9, overloaded=True),
    samples.run("rr", clock="virtual"),
    samples.run("sed", (0, 0, 0, 0), errors={"refused": 300}, p_value=None),
    samples.run("rr", service="</script><b>x</b>/web:80"),
)
PAGES = {
    "fourteen": (
        samples.report(),
        (Rewriting("SYN", "192.0.2.10:1 → 10.96.0.10:80", "10.0.0.1:1 → 10.244.1.5:80"),),
    ),
    "services": (samples.report(*samples.many_services()), ()),
    "trouble": (samples.report(*TROUBLE), ()),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=PAGES)
def address(request, tmp_path_factory):
    """The address of a written report page."""
    report, rewriting = PAGES[request.param]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_html(report, rewriting), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def logs(browser, address):
    """What the browser asked for and complained about while it opened the page, which stays open."""
    for kind in ("performance", "browser"):
        browser.get_log(kind)
    set_window(browser, 1280)
    browser.get(address)
    drawn(browser)
    return {kind: browser.get_log(kind) for kind in ("performance", "browser")}


@pytest.fixture
def page(browser, logs):
    """The browser with the page open and every chart drawn."""
    set_window(browser, 1280)
    drawn(browser)
    return browser


def set_window(browser, width, scheme="light"):
    """Make the window `width` pixels wide and set the reader's colour scheme."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def drawn(browser, box="document.body"):
    """Wait until each chart with a place in `box` is drawn as wide as its place; return their number."""
    return WebDriverWait(browser, 60).until(
        lambda browser: browser.execute_script(
            f"""
            const plots = [...{box}.querySelectorAll('.plot')].filter(plot => plot.checkVisibility());
            const width = plot => plot.querySelector('.main-svg')?.clientWidth ?? -9;
            const done = plot => Math.abs(width(plot) - plot.clientWidth) < 2;
            return plots.every(done) && plots.length;
            """
        )
    )


def test_nothing_is_fetched_and_nothing_goes_wrong(logs, address):
    events = [json.loads(entry["message"])["message"] for entry in logs["performance"]]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith(("data:", "blob:", "chrome:"))} == {address}
    assert logs["browser"] == []


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_never_scrolls_sideways(page, width):
    set_window(page, width)
    drawn(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_axis_labels_do_not_overlap_on_a_phone(page):
    set_window(page, 400)
    drawn(page)
    overlaps = page.execute_script(
        """
        const overlaps = [], layers = document.querySelectorAll('.plot g.xaxislayer-above');
        layers.forEach(layer => {
          const boxes = [...layer.querySelectorAll('text')].filter(one => one.textContent.trim())
            .map(one => [one.textContent, one.getBoundingClientRect()]);
          boxes.forEach(([a, p], at) => boxes.slice(at + 1).forEach(([b, q]) => {
            const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
            const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
            if (across > 1 && down > 4) overlaps.push(a + ' / ' + b);
          }));
        });
        return [layers.length, overlaps];
        """
    )
    assert overlaps[0] > 0
    assert overlaps[1] == []


def test_headings_landmarks_and_labels_are_complete(page):
    script = """
        const all = selector => [...document.querySelectorAll(selector)];
        return {
          h1: all('h1').length, main: all('main').length, lang: document.documentElement.lang,
          levels: all('h1, h2, h3').map(h => +h.tagName[1]),
          ids: all('[id]').map(e => e.id),
          unlabelled: all('[role=img], [role=region]').filter(e => !e.getAttribute('aria-label')).length,
          dangling: all('[aria-labelledby]').map(e => e.getAttribute('aria-labelledby'))
            .filter(name => !document.getElementById(name)).length,
          unscoped: all('th:not([scope])').length, uncaptioned: all('table:not(:has(caption))').length,
          figures: all('figure').length, captions: all('figure > figcaption').length,
          tables: all('figure > details table').length, unreachable: all('.wide:not([tabindex="0"])').length,
        }
    """
    found = page.execute_script(script)
    assert (found["h1"], found["main"], found["lang"]) == (1, 1, "en")
    assert all(
        later - earlier <= 1 for earlier, later in zip(found["levels"], found["levels"][1:], strict=False)
    )
    assert len(found["ids"]) == len(set(found["ids"]))
    assert found["figures"] == found["captions"] == found["tables"] > 0
    for fault in ("unlabelled", "dangling", "unscoped", "uncaptioned", "unreachable"):
        assert found[fault] == 0, fault


def test_colours_follow_the_reader_s_scheme(page):
    def ink():
        return page.execute_script(
            "return getComputedStyle(document.querySelector('.plot .ytick text')).fill"
        )

    assert ink() == "rgb(36, 41, 47)"
    set_window(page, 1280, "dark")
    WebDriverWait(page, 30).until(lambda _: ink() == "rgb(230, 237, 243)")
    set_window(page, 1280)
    WebDriverWait(page, 30).until(lambda _: ink() == "rgb(36, 41, 47)")


def test_a_folded_chart_is_drawn_when_it_is_opened(browser, tmp_path):
    runs = [
        replace(run, service=f"default/s{number}:80") for number in range(5) for run in samples.fourteen()
    ]
    path = tmp_path / "report.html"
    path.write_text(report_html(samples.report(*runs)), encoding="utf-8")
    browser.get(path.as_uri())
    assert drawn(browser) == 5
    folded = "document.querySelector('#latency ~ details')"
    assert browser.execute_script(f"return {folded}.querySelectorAll('.main-svg').length") == 0
    browser.execute_script(f"{folded}.open = true")
    assert drawn(browser, folded) == 3
