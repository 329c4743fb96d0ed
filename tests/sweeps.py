"""A sweep without guests: an executor that answers at once, and counts what it was asked."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future

from chart_samples import run

from labkit.measure.records import GuestFacts
from labkit.measure.schema import decode
from labkit.performing import Experiment, Measured, to_reply
from labkit.spec.text import Text
from labkit.sweeping.cells import load_grid, plan_sweep
from labkit.sweeping.running import Performed


def cells(seeds=3, algorithms=("iptables", "rr", "lc")):
    text = f"labs: web\nalgorithms: [{', '.join(algorithms)}]\nseeds: 1-{seeds}\nworkloads: {{w: {{}}}}\n"
    return plan_sweep(load_grid(Text("grid.yaml", text)))


class Instant(Executor):
    """Answers each call at once; those at `lost` (numbers of calls) raise what a lost worker does."""

    def __init__(self, lost=()):
        self.asked = []
        self.lost = lost

    def submit(self, fn, /, *args, **kwargs):
        request = args[0]
        future = Future()
        if len(self.asked) in self.lost:
            future.set_exception(ConnectionError("the worker is gone"))
        else:
            future.set_result(performed(request))
        self.asked.append(decode(Experiment, json.loads(request), "experiment"))
        return future


def performed(request):
    experiment = decode(Experiment, json.loads(request), "experiment")
    measured = Measured(
        run(experiment.scheduler or "random", mode=experiment.mode), GuestFacts("uml", "6.12", 1), "nft"
    )
    return Performed(to_reply(measured), "2026-01-31T12:00:00Z", 1.5, 0.5)
