"""The controls of a control room: widgets and where they stand, without what they do."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, get_args

from labkit.spec.events import EndpointState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABEL_WIDTH = "6rem"
WEIGHTS_SHOWN = 8
LINES_SHOWN = 8


class Panel:
    """The widgets of a control room by name, in groups; `box` holds them all.

    Native menus, number fields and buttons only: everything can be reached with Tab and worked by keyboard.
    """

    def __init__(self, choices: Mapping[str, Sequence[str]], connections: int) -> None:
        """Make the widgets; `choices` are the entries of the menus service, client, mode, scheduler, pod."""
        import ipywidgets as w

        self._w = w
        self.menus = {name: self._menu(name.capitalize(), entries) for name, entries in choices.items()}
        self.menus["state"] = self._menu("Endpoint", get_args(EndpointState))
        self.connections = w.BoundedIntText(
            value=connections, min=1, max=10_000, description="Connections", **self._look()
        )
        self.weights: dict[str, Any] = {}
        self.weights_box = w.VBox()
        names = ("Start traffic", "Trace one", "Switch", "Refuses", "Unreachable", "Revive", "Set endpoint")
        self.buttons = {name: self._button(name) for name in names}
        self.buttons["Start traffic"].button_style = "primary"
        self.line, self.status, self.done = w.HTML(), w.HTML(), w.HTML()
        self.topology, self.rounds, self.table = w.HTML(), w.HTML(), w.HTML()
        self.journey = w.Output()
        self.box = self._arranged()

    def offer_weights(self, pods: Sequence[str], weights: Mapping[str, int]) -> None:
        """Show a number field for the weight of each of these pods; of many only the first few."""
        self.weights = {
            pod: self._w.BoundedIntText(
                value=weights.get(pod, 1), min=0, max=65_535, description=pod, **self._look()
            )
            for pod in pods[:WEIGHTS_SHOWN]
        }
        more = len(pods) - len(self.weights)
        note = [self._w.HTML(f"{more} more: lab.switch(..., weights={{...}})")] if more > 0 else []
        self.weights_box.children = (*self.weights.values(), *note)

    def show_done(self, lines: Sequence[str]) -> None:
        """Show the last few things that were done, as Python."""
        code = "\n".join(escape(line) for line in lines[-LINES_SHOWN:])
        self.done.value = f'<pre style="margin:0;white-space:pre-wrap">{code or "nothing yet"}</pre>'

    def show_status(self, text: str) -> None:
        """Show what is going on; a screen reader speaks it."""
        self.status.value = f'<div role="status" style="white-space:pre-wrap">{escape(text)}</div>'

    def _arranged(self) -> Any:
        w, menus, buttons = self._w, self.menus, self.buttons
        weights = w.Accordion([self.weights_box], selected_index=None)
        weights.set_title(0, "Weights of the pods (IPVS)")
        table = w.Accordion([self.table], selected_index=None)
        table.set_title(0, "Shares and states as a table")
        deaths = [buttons[name] for name in ("Refuses", "Unreachable", "Revive")]
        controls = [
            _heading(w, "Traffic"),
            menus["service"],
            menus["client"],
            self.connections,
            w.HBox([buttons["Start traffic"], buttons["Trace one"]]),
            _heading(w, "kube-proxy"),
            menus["mode"],
            menus["scheduler"],
            weights,
            self.line,
            buttons["Switch"],
            _heading(w, "A pod"),
            menus["pod"],
            w.HBox(deaths, layout={"flex_flow": "row wrap"}),
            menus["state"],
            buttons["Set endpoint"],
        ]
        left = w.VBox(controls, layout=w.Layout(width="20rem", flex="0 1 20rem"))
        right = w.VBox(
            [
                self.topology,
                self.rounds,
                self.status,
                _heading(w, "What was done, in Python"),
                self.done,
                table,
            ],
            layout=w.Layout(flex="1 1 30rem", min_width="20rem", max_width="920px"),
        )
        room = w.HBox([left, right], layout=w.Layout(flex_flow="row wrap", grid_gap="16px"))
        return w.VBox([room, self.journey])

    def _menu(self, label: str, entries: Sequence[str]) -> Any:
        return self._w.Dropdown(options=list(entries), description=label, **self._look())

    def _button(self, name: str) -> Any:
        return self._w.Button(description=name, layout=self._w.Layout(width="auto", min_width="5.5rem"))

    def _look(self) -> dict[str, Any]:
        return {
            "style": {"description_width": LABEL_WIDTH},
            "layout": self._w.Layout(width="19rem", max_width="100%"),
        }


def _heading(widgets: Any, words: str) -> Any:
    return widgets.HTML(f'<h4 style="margin:8px 0 2px">{escape(words)}</h4>')
