"""Figures: what was measured for the ledger, each a number with its interval, found by its name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MANY, FEW = 7500, 1  # Services in a large and in the smallest cluster
SIZES = (FEW, 1500, 3000, 5000, MANY)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `low` and `high` are its 95 % interval, or the number itself where it is exact.

    `unit` is "" for a count.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low == self.high:
            return f"{number(self.value)}{unit}"
        return f"{number(self.value)}{unit} ({number(self.low)} to {number(self.high)})"


class NotMeasuredError(LookupError):
    """A figure that a judge asks for is not among what was measured."""


class Figures:
    """Figures by name."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._by_name = {figure.name: figure for figure in figures}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._by_name:
            raise NotMeasuredError(name)
        return self._by_name[name]

    def starting(self, start: str) -> tuple[Figure, ...]:
        """Return the figures whose names begin so; at least one."""
        found = tuple(figure for name, figure in self._by_name.items() if name.startswith(start))
        if not found:
            raise NotMeasuredError(start)
        return found

    def count(self, name: str) -> int:
        """Return an exact count."""
        return round(self[name].value)


def exact(name: str, value: float, unit: str = "") -> Figure:
    """Return a figure that was counted, not estimated."""
    return Figure(name, value, value, value, unit)


def ratio(name: str, above: Figure, below: Figure) -> Figure:
    """Return above / below; its interval is the widest that the two intervals allow."""
    return Figure(
        name,
        above.value / below.value,
        above.low / below.high,
        above.high / below.low,
        "times",
    )


def counted_services(services: int) -> str:
    """Return the number of Services as words: "1 Service", "5,000 Services"."""
    return f"{services:,} Service{'s' if services > 1 else ''}"


def first_packet(mode: str, services: int, place: str) -> str:
    """Return the name of a first packet's delay: to the first or the last of so many Services."""
    return f"first packet, {mode}, {counted_services(services)}, to the {place} one"


def rule_count(mode: str, services: int) -> str:
    """Return the name of the number of iptables rules on a node in a mode, with so many Services."""
    return f"iptables rules, {mode}, {counted_services(services)}"


def change_time(mode: str, services: int) -> str:
    """Return the name of the time that kube-proxy takes to remove one endpoint among so many Services."""
    return f"one endpoint removed, {mode}, {counted_services(services)}"


def answers(mode: str, what: str) -> str:
    """Return the name of a count of answers under a mode."""
    return f"{mode}: {what}"


def number(value: float) -> str:
    """Return a number with three digits that count; whole ones whole, thousands divided."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "no number"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
