"""One JupyterLab and one browser for all tests of this folder."""

from typing import NamedTuple

import pytest
from browser import open_browser, wait_until
from jupyterserver import jupyter_environment, serve

# A lab in every kernel would be too much for a small machine.
CLOSE_OTHERS = """
const [notebook, done] = arguments;
const token = Object.fromEntries(document.cookie.split('; ').map(one => one.split('=')))._xsrf;
const ask = (path, method) => fetch(`/api/sessions${path}`, {method, headers: {'X-XSRFToken': token}});
ask('', 'GET').then(answer => answer.json()).then(sessions => Promise.all(
  sessions.filter(one => one.path !== notebook).map(one => ask(`/${one.id}`, 'DELETE'))
)).then(() => done());
"""


class JupyterLab(NamedTuple):
    """A running JupyterLab, the folder that it serves, and a browser."""

    address: str
    folder: object
    browser: object

    def open(self, notebook, kernel):
        """Open a notebook of the folder, alone, run all its cells when its kernel is ready."""
        self.browser.get(f"{self.address}lab/tree/{notebook}?reset")
        self.browser.execute_async_script(CLOSE_OTHERS, notebook)
        ready = "return document.body.innerText.toLowerCase().includes(arguments[0])"
        wait_until(self.browser, ready, f"{kernel} | idle".lower())
        self._click("Run", ".lm-MenuBar-itemLabel")
        self._click("Run All Cells", ".lm-Menu-itemLabel")
        wait_until(
            self.browser,
            """
            const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
            return prompts.length && prompts.every(one => /\\[\\d+\\]/.test(one.innerText));
            """,
        )
        return self.browser

    def _click(self, label, kind):
        entry = f"const all = [...document.querySelectorAll('{kind}')];"
        find = "return all.find(one => one.innerText.trim() === arguments[0])"
        wait_until(self.browser, entry + find, label).click()


@pytest.fixture(scope="session")
def jupyterlab(jupyter_data, tmp_path_factory):
    """JupyterLab in a folder of its own, with a browser."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    settings = folder / "settings"
    # Cells out of sight would not be in the page.
    tracker = settings / "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')
    environment = jupyter_environment(
        folder, JUPYTER_PATH=str(jupyter_data), JUPYTERLAB_SETTINGS_DIR=str(settings)
    )
    with serve(folder, environment) as address, open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield JupyterLab(address, folder, browser)
