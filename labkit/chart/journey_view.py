"""A journey to step through and play in a notebook: the ladder, its rules beside it, every step spoken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from labkit.chart.diagram import Diagram
from labkit.chart.ladder import draw_ladder, ladder_alt
from labkit.chart.ladder_plan import plan_ladder
from labkit.chart.ladder_rules import rule_place
from labkit.chart.ladder_steps import LEVELS
from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from labkit.chart.ladder_plan import LadderPlan
    from labkit.measure.journey.journey import Journey
    from labkit.measure.journey.levels import Level

HERE = Path(__file__).parent
COLUMNS = (
    Column("step"),
    *(Column(title, "left") for title in ("where", "what happens", "addresses", "text")),
)


class JourneyView(anywidget.AnyWidget):  # type: ignore[misc]
    """The ladder of a journey: previous, play, next; arrow keys, Home, End, P, Escape.

    `step` is the number of the step that is shown, from 1; 0 shows all of them. `level` is summary, rules or
    everything. Both may be set, and followed: view.observe(f, "step"). Where no widget runs (nbconvert,
    nbgrader's feedback, a notebook that is only looked at) the still picture with its table stands instead.
    """

    _esm = HERE / "journey_view.js"
    _css = HERE / "journey_view.css"
    title = traitlets.Unicode().tag(sync=True)
    views: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    rulesets: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    level = traitlets.Enum(LEVELS, "summary").tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, journey: Journey, level: Level = "summary") -> None:
        """Make the view of a journey."""
        self._still = journey_diagram(journey, level)
        super().__init__(
            title=self._still.title,
            views={name: _view(journey, name) for name in LEVELS},
            rulesets=[
                {"heading": f"{one.namespace}: {one.tool}", "lines": one.text.splitlines()}
                for one in journey.rulesets
            ],
            level=level,
        )

    @property
    def still(self) -> Diagram:
        """The still picture with its table and sentence."""
        return self._still

    @traitlets.validate("step")  # type: ignore[untyped-decorator]
    def _within(self, proposal: Any) -> int:
        return min(int(proposal["value"]), len(self.views.get(self.level, {}).get("steps", ())))

    def _ipython_display_(self) -> None:
        # Two outputs: where the widget runs, its style sheet hides the still picture; elsewhere that is all
        # there is, whatever of the widget a page tries to show.
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        display({**(data or {}), "text/plain": self._still.title}, raw=True)
        still = f'<div class="labkit-still">{self._still._repr_html_()}</div>'
        display({"text/html": still, "text/plain": ""}, raw=True)


def show_journey(journey: Journey, level: Level = "summary") -> JourneyView:
    """Return a journey to step through; the last line of a cell shows it.

    Raises RequestError for a level that there is not.
    """
    return JourneyView(journey, level)


def journey_diagram(journey: Journey, level: Level = "summary") -> Diagram:
    """Return a journey as a still picture, with its steps as a table. RequestError for an unknown level."""
    plan = plan_ladder(journey, level)
    alt = ladder_alt(plan)
    return Diagram(plan.title, draw_ladder(plan, alt), _table(plan), alt)


def _view(journey: Journey, level: Level) -> dict[str, Any]:
    plan = plan_ladder(journey, level)
    steps = []
    for row in plan.rows:
        place = rule_place(row.step, journey)
        steps.append({"says": row.words.spoken, "ruleset": place and place[0], "line": place and place[1]})
    return {"svg": draw_ladder(plan, ladder_alt(plan)), "steps": steps}


def _table(plan: LadderPlan) -> Table:
    rows = []
    for row in plan.rows:
        ends = "; ".join(
            f"{one.what} {one.before}".strip() + (f" becomes {one.after}" if one.after else "")
            for one in row.words.changes
        )
        rows.append((str(row.number), row.words.where, row.words.title, ends, row.words.code))
    return Table(plan.title, COLUMNS, tuple(rows))
