"""Controls for a notebook: choose an algorithm and see its chart; watch long work advance."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Self

from labkit.chart.distribution import show_distribution
from labkit.errors import LabError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from labkit.chart.picture import Chart
    from labkit.lab import Lab

LABEL_WIDTH = "7.5rem"


class AlgorithmChooser:
    """A menu of algorithms, a number of connections and a button that measures and shows the chart.

    `measure(mode, scheduler, connections)` does the work and returns the Chart, `in_python` of the same three
    is the line that does it; `choices` are the (mode, scheduler) pairs of the menu. The line of Python stands
    under the button, so that the control teaches the call it makes. While a measurement runs the control is
    disabled; a LabError shows as its own lines. Shown by being the last line of a cell.
    """

    def __init__(
        self,
        measure: Callable[[str, str, int], Chart],
        in_python: Callable[[str, str, int], str],
        choices: Sequence[tuple[str, str]],
        connections: int = 300,
    ) -> None:
        """Make the control; raises RequestError where there is nothing to choose from."""
        import ipywidgets

        if not choices:
            raise RequestError("there is no algorithm to choose from", todo="give (mode, scheduler) pairs")
        self._measure = measure
        self._in_python = in_python
        style, wide = {"description_width": LABEL_WIDTH}, ipywidgets.Layout(width="22rem", max_width="100%")
        self.algorithm = ipywidgets.Dropdown(
            options=[(f"{mode} {scheduler}", (mode, scheduler)) for mode, scheduler in choices],
            description="Algorithm",
            style=style,
            layout=wide,
        )
        self.connections = ipywidgets.BoundedIntText(
            value=connections, min=1, max=100_000, description="Connections", style=style, layout=wide
        )
        self.button = ipywidgets.Button(
            description="Measure",
            button_style="primary",
            layout=ipywidgets.Layout(margin=f"2px 2px 2px {LABEL_WIDTH}"),
        )
        self.status = ipywidgets.HTML(value=_status("Ready."))
        self.line = ipywidgets.HTML()
        self.result = ipywidgets.Output()
        self.algorithm.observe(self._show_line, "value")
        self.connections.observe(self._show_line, "value")
        self.button.on_click(self._run)
        self._show_line()

    @property
    def python(self) -> str:
        """The line of Python that does what the button does."""
        mode, scheduler = self.algorithm.value
        return self._in_python(mode, scheduler, self.connections.value)

    def _ipython_display_(self) -> None:
        from IPython.display import display
        from ipywidgets import VBox

        display(VBox([self.algorithm, self.connections, self.button, self.line, self.status, self.result]))

    def _show_line(self, _change: Any = None) -> None:
        self.line.value = f"The same in Python: <code>{escape(self.python)}</code>"

    def _run(self, _button: Any) -> None:
        from IPython.display import display

        mode, scheduler = self.algorithm.value
        self._allow(enabled=False)
        self.status.value = _status(f"Measuring {mode} {scheduler} ...")
        self.result.clear_output(wait=True)
        outcome = "Stopped by an error that is not the lab's."
        try:
            with self.result:
                chart, outcome = self._attempt(mode, scheduler)
                if chart is not None:
                    display(chart)
        finally:
            self.status.value = _status(outcome)
            self._allow(enabled=True)
            self.button.focus()  # a button that was off has lost it, and with it the keyboard

    def _attempt(self, mode: str, scheduler: str) -> tuple[Chart | None, str]:
        try:
            chart = self._measure(mode, scheduler, self.connections.value)
        except LabError as error:
            return None, str(error)
        return chart, f"Done: {mode} {scheduler}."

    def _allow(self, *, enabled: bool) -> None:
        for widget in (self.algorithm, self.connections, self.button):
            widget.disabled = not enabled


def choose_algorithm(lab: Lab, service: str = "", connections: int = 300) -> AlgorithmChooser:
    """Return the control for one Service port of a lab: every algorithm of the guest, each in a fresh lab."""
    at_random = [(mode, "random") for mode in lab.modes if mode != "ipvs"]
    choices = [*at_random, *(("ipvs", scheduler) for scheduler in lab.schedulers)]

    def measure(mode: str, scheduler: str, connections: int) -> Chart:
        lab.reset(mode, scheduler if mode == "ipvs" else "")
        return show_distribution(lab.measure(service, connections=connections))

    def in_python(mode: str, scheduler: str, connections: int) -> str:
        fresh = f'lab.reset("{mode}", "{scheduler}")' if mode == "ipvs" else f'lab.reset("{mode}")'
        return f'{fresh}; show_distribution(lab.measure("{service}", connections={connections}))'

    return AlgorithmChooser(measure, in_python, choices, connections)


class ProgressBar:
    """A bar that advances while long work runs: `with ProgressBar() as bar: ...(on_progress=bar)`.

    Called as on_progress(done, total, what), like every progress display of labkit. It disappears at the end,
    and it stands still, with what it last said, if the work fails.
    """

    def __init__(self) -> None:
        import ipywidgets

        self.bar = ipywidgets.IntProgress(
            value=0, min=0, max=1, layout=ipywidgets.Layout(width="22rem", max_width="100%")
        )
        self.label = ipywidgets.HTML(value=_status("Starting ..."))
        self._box = ipywidgets.HBox([self.bar, self.label])

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` steps are done and that `what` is being worked on."""
        self.bar.max = max(total, 1)
        self.bar.value = done
        self.label.value = _status(f"{done} of {total}: {what}")

    def __enter__(self) -> Self:
        from IPython.display import display

        display(self._box)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._box.close()
        else:
            self.bar.bar_style = "danger"


def _status(text: str) -> str:
    # role="status": a screen reader speaks it when it changes.
    return f'<div role="status" style="white-space:pre-wrap;line-height:1.4">{escape(text)}</div>'
