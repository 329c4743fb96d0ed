"""The guest's side of the ledger: `python -m labkit.claims.measuring` makes one measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.ledger import MeasuredRow
from labkit.claims.plan import Measurement
from labkit.experiments.cells import answer_cell, guest_facts, load_1m

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.claims.figures import Figure


def measure(asked: Measurement) -> MeasuredRow:
    """Make a measurement in the guest that this process runs in."""
    facts = guest_facts(asked.clock)
    return MeasuredRow(str(asked), tuple(_figures(asked)), facts, load_1m())


def _figures(asked: Measurement) -> Iterable[Figure]:
    from labkit.claims import choosing, counting, timing, waiting

    if asked.name == "scaling":
        return timing.measure_scaling(asked)
    measured_by = {
        "sharing": counting.count_sharing,
        "hooks": counting.count_hooks,
        "trap": counting.count_trap,
        "transport": counting.count_transport,
        "schedulers": choosing.measure_schedulers,
        "choice among pods": choosing.measure_choice,
        "short connections": timing.measure_short_connections,
        "throughput": timing.measure_throughput,
        "unequal pods": waiting.measure_unequal,
        "dead pod": waiting.measure_dead,
    }
    return measured_by[asked.name]()


if __name__ == "__main__":
    answer_cell(Measurement, measure)
