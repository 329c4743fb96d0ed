"""What the ledger measures: each measurement in a fresh guest of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.claims.figures import SIZES, counted_services
from labkit.guest.clock import Clock  # noqa: TC001  the cell is read from JSON by its annotations

SCALING_MODES = ("iptables-legacy", "ipvs")
CALLS = 400  # in each mode, to see who answers
HOOK_CALLS = 40
TRIED = ("rr", "lc", "sed", "sh")  # one scheduler of each kind that the claims name
CONNECTIONS = 200  # under each of them
HELD = 8  # connections kept open
FEW_PODS, MANY_PODS = 4, 64
MANY_SERVERS = 4000
ALGORITHMS = {"iptables": ("iptables", "rr"), "IPVS rr": ("ipvs", "rr"), "IPVS lc": ("ipvs", "lc")}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one guest is asked. `mode` and `services` only where the measurement has them, else "" and 0."""

    name: str
    clock: Clock = "real"
    mode: str = ""
    services: int = 0

    def __str__(self) -> str:
        if not self.services:
            return self.name
        return f"{self.name}, {self.mode}, {counted_services(self.services)}"


MEASUREMENTS = (
    Measurement("sharing"),
    Measurement("hooks"),
    Measurement("trap"),
    Measurement("transport"),
    Measurement("schedulers"),
    Measurement("choice among pods"),
    Measurement("short connections"),
    Measurement("throughput"),
    *(Measurement("scaling", "real", mode, size) for size in SIZES for mode in SCALING_MODES),
    Measurement("unequal pods", "virtual"),
    Measurement("dead pod", "virtual"),
)


def plan_measurements(names: frozenset[str]) -> tuple[Measurement, ...]:
    """Return the measurements of these names, in the ledger's order."""
    return tuple(one for one in MEASUREMENTS if one.name in names)
