"""The control room: a lab to play with in a notebook, while traffic runs; each deed is a line of Python."""

from __future__ import annotations

import threading
from html import escape
from typing import TYPE_CHECKING, Any

from labkit.chart.control_room_chart import rounds_svg
from labkit.chart.control_room_deeds import Deed, switch
from labkit.chart.control_room_panel import Panel
from labkit.chart.control_room_state import (
    endpoints_of,
    next_round,
    pod_looks,
    service_names,
    shares_of,
)
from labkit.chart.control_room_traffic import SteadyTraffic
from labkit.chart.journey_view import show_journey
from labkit.chart.table import Column, Table
from labkit.chart.topology import topology_diagram
from labkit.chart.topology_plan import Live
from labkit.errors import LabError, RequestError
from labkit.spec.naming import namespace_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.chart.control_room_state import Round
    from labkit.lab import Lab
    from labkit.measure.records import RunResult

START, STOP = "Start traffic", "Stop traffic"


class ControlRoom:
    """The lab's topology with live shares, response times round by round, and what can be done to the lab.

    `done` are the lines of Python that did what was done here. `close()` ends the traffic. Shown by being the
    last line of a cell.
    """

    def __init__(self, lab: Lab, connections: int = 40) -> None:
        """Make the control room of a lab; RequestError where it is closed or has no Service to call."""
        self.lab = lab
        self.rounds: tuple[Round, ...] = ()
        self.done: list[str] = []
        self._services = service_names(lab.cluster)
        if not self._services:
            raise RequestError(
                "this lab has no Service to call", todo="open one that has: Lab.open('web'), for example"
            )
        self._endpoints = endpoints_of(lab.cluster)
        self._drawing = threading.Lock()  # the traffic's thread draws, and so do the buttons
        self.traffic = SteadyTraffic(self._send, self._note_round, self._note_end)
        pods = [namespace_name(pod) for pod in lab.cluster.pods]
        choices = {
            "service": tuple(self._services),
            "client": tuple(lab.clients),
            "mode": lab.modes,
            "scheduler": lab.schedulers,
            "pod": pods,
        }
        self.panel = Panel(choices, connections)
        self._connect()
        self.panel.show_status("Ready. Start the traffic, then change something.")
        self.panel.show_done([])
        self._draw()

    def close(self) -> None:
        """End the traffic; the lab stays."""
        self.traffic.stop()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.panel.box)

    def _connect(self) -> None:
        panel, menus, lab = self.panel, self.panel.menus, self.lab
        menus["mode"].value = lab.mode
        if lab.scheduler in menus["scheduler"].options:
            menus["scheduler"].value = lab.scheduler
        deeds: dict[str, Callable[[], Deed]] = {
            "Switch": self._switching,
            "Refuses": lambda: Deed("kill", (menus["pod"].value,)),
            "Unreachable": lambda: Deed("kill", (menus["pod"].value, "unreachable")),
            "Revive": lambda: Deed("revive", (menus["pod"].value,)),
            "Set endpoint": lambda: Deed("set_endpoint", (menus["pod"].value, menus["state"].value)),
        }
        for name, deed in deeds.items():
            panel.buttons[name].on_click(lambda _, deed=deed: self.do(deed()))
        panel.buttons[START].on_click(lambda _: self._toggle_traffic())
        panel.buttons["Trace one"].on_click(lambda _: self._trace())
        menus["service"].observe(lambda _: self._choose_service(), "value")
        for name in ("mode", "scheduler"):
            menus[name].observe(lambda _: self._show_line(), "value")
        self._choose_service()

    def do(self, deed: Deed) -> None:
        """Do something to the lab, note its line of Python, show what follows; a LabError is shown, too."""
        try:
            deed.do(self.lab)
            self._draw()
        except LabError as error:
            self.panel.show_status(str(error))
            return
        self._note(deed.python)

    def _note(self, line: str) -> None:
        self.done.append(line)
        self.panel.show_done(self.done)
        self.panel.show_status(f"Done: {line}")

    def _switching(self) -> Deed:
        menus = self.panel.menus
        weights = {pod: field.value for pod, field in self.panel.weights.items() if field.value != 1}
        return switch(menus["mode"].value, menus["scheduler"].value, weights)

    def _measuring(self) -> Deed:
        menus = self.panel.menus
        named: tuple[tuple[str, Any], ...] = (("connections", self.panel.connections.value),)
        if menus["client"].value != menus["client"].options[0]:
            named = (("client", menus["client"].value), *named)
        return Deed("measure", (menus["service"].value,), named)

    def _choose_service(self) -> None:
        pods = [pod.removeprefix("default/") for pod in self._services[self.panel.menus["service"].value]]
        self.rounds = ()
        weights = {pod.removeprefix("default/"): weight for pod, weight in self.lab.weights.items()}
        self.panel.offer_weights(pods, weights)
        for field in self.panel.weights.values():
            field.observe(lambda _: self._show_line(), "value")
        self._show_line()
        self._draw()

    def _show_line(self) -> None:
        self.panel.menus["scheduler"].disabled = self.panel.menus["mode"].value != "ipvs"
        self.panel.line.value = f"<code>{escape(self._switching().python)}</code>"

    def _toggle_traffic(self) -> None:
        button = self.panel.buttons[START]
        if self.traffic.is_running:
            self.traffic.stop()
            return
        button.description = STOP
        self._note(f"{self._measuring().python}  # again and again")
        self.traffic.start()

    def _send(self) -> RunResult:
        result: RunResult = self._measuring().do(self.lab)
        return result

    def _note_round(self, run: RunResult) -> None:
        self.rounds = next_round(self.rounds, run)
        self._draw()

    def _note_end(self, why: LabError | None) -> None:
        self.panel.buttons[START].description = START
        self.panel.show_status(f"The traffic ended: {why}" if why else "The traffic is stopped.")

    def _trace(self) -> None:
        from IPython.display import display

        self.traffic.stop()  # it would be traced, too
        client, service = self.panel.menus["client"].value, self.panel.menus["service"].value
        deed = Deed("journey", (client,), (("service", service),))
        self.panel.show_status("Tracing one connection ...")
        self.panel.journey.clear_output(wait=True)
        try:
            with self.panel.journey, deed.do(self.lab) as journey:
                display(show_journey(journey))
        except LabError as error:
            self.panel.show_status(str(error))
            return
        self._note(f"with {deed.python} as j: view = show_journey(j)")

    def _draw(self) -> None:
        with self._drawing:
            lab = self.lab
            looks = pod_looks(lab.cluster, lab.deaths, self._endpoints)
            asked = self._services[self.panel.menus["service"].value]
            shares = shares_of(self.rounds, asked)
            name = f"{' '.join(lab.manifests)}, {lab.mode} {lab.algorithm}"
            diagram = topology_diagram(lab.cluster, lab.network.plan, name, Live(looks, shares))
            self.panel.topology.value = diagram.svg
            self.panel.rounds.value = rounds_svg(self.rounds)
            rows = tuple(
                (pod, looks.get(pod, "ready"), f"{shares[pod]:.0%}" if pod in shares else "-")
                for pod in asked
            )
            columns = (Column("pod", "left"), Column("state", "left"), Column("share"))
            self.panel.table.value = Table("The last rounds of traffic", columns, rows).html()


def control_room(lab: Lab, connections: int = 40) -> ControlRoom:
    """Return the control room of a lab; `connections` is the size of a round of traffic.

    The last line of a cell shows it. Raises RequestError where the lab is closed or has no Service to call.
    """
    return ControlRoom(lab, connections)
