from pathlib import Path

import IPython.display
import nbconvert
import nbformat
import pytest
import traitlets

from labkit.chart.journey_view import journey_diagram, show_journey
from labkit.errors import RequestError
from labkit.measure.journey.form import from_json

RECORDED = Path(__file__).parents[1] / "samples/journey/recorded"
JOURNEYS = {path.stem: from_json(path.read_text()) for path in sorted(RECORDED.glob("*.json"))}


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed: a list of MIME bundles."""
    bundles = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: bundles.append(data))
    return bundles


def test_the_step_stays_within_the_steps_of_its_level():
    view = show_journey(JOURNEYS["iptables"])
    count = len(view.views["summary"]["steps"])
    view.step = count + 5
    assert view.step == count
    with pytest.raises(traitlets.TraitError):
        view.step = -1


def test_a_change_of_step_is_told_to_python():
    view, told = show_journey(JOURNEYS["ipvs"]), []
    view.observe(lambda change: told.append(change.new), "step")
    view.step = 2
    assert told == [2]


@pytest.mark.parametrize("name", JOURNEYS)
def test_every_linked_line_is_there(name):
    view = show_journey(JOURNEYS[name])
    for level in view.views.values():
        for step in level["steps"]:
            if step["line"] is not None:
                assert view.rulesets[step["ruleset"]]["lines"][step["line"] - 1]


def test_an_unknown_level_is_refused():
    with pytest.raises(RequestError, match="no level"):
        show_journey(JOURNEYS["iptables"], "all")


def test_the_table_holds_every_step_of_the_picture():
    diagram = journey_diagram(JOURNEYS["nftables"])
    numbers = [row[0] for row in diagram.table.rows]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert "becomes" in diagram.table.text()


@pytest.mark.parametrize("with_state", [True, False], ids=["widget state", "no widget state"])
def test_nbconvert_shows_the_still_picture(displayed, with_state):
    view = show_journey(JOURNEYS["iptables"])
    view._ipython_display_()
    outputs = [nbformat.v4.new_output("display_data", data) for data in displayed]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("view", outputs=outputs)])
    if with_state:
        widget = {"model_name": "AnyModel", "model_module": "anywidget", "state": {}}
        state = {"version_major": 2, "version_minor": 0, "state": {view.model_id: widget}}
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert page.count(f"<desc>{view.still.alt}</desc>") == 1
    assert page.count(f"<caption>{view.still.table.caption}</caption>") == 1
