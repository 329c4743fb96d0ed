"""The signs of a ladder's steps: told apart by shape, not by colour. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.svg import Box, outline, rect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.chart.ladder_steps import StepKind


def mark(kind: StepKind, point: tuple[float, float]) -> str:
    """Return the sign of a kind of step, with its middle at the point."""
    return _MARKS.get(kind, _dot)(*point)


def _rewritten(x: float, y: float) -> str:
    return outline(f"M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9z", fill="ink", stroke="paper", width=1.5)


def _chosen(x: float, y: float) -> str:
    tick = outline(f"M{x - 4:.1f} {y:.1f}l3 3.5l5.5 -6.5", stroke="paper", width=2)
    return rect(Box(x - 8, y - 8, 16, 16), fill="ink", stroke="paper", radius=3, width=1.5) + tick


def _dropped(x: float, y: float) -> str:
    cross = outline(f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10", stroke="paper", width=2.2)
    return rect(Box(x - 10, y - 10, 20, 20), fill="bad", radius=10) + cross


def _rule(x: float, y: float) -> str:
    return rect(Box(x - 4.5, y - 4.5, 9, 9), fill="paper", stroke="ink", radius=1.5, width=1.6)


def _remembered(x: float, y: float) -> str:
    outer = rect(Box(x - 7, y - 7, 14, 14), fill="paper", stroke="ink", radius=7, width=1.6)
    return outer + rect(Box(x - 3, y - 3, 6, 6), fill="ink", radius=3)


def _socket(x: float, y: float) -> str:
    return rect(Box(x - 6, y - 6, 12, 12), fill="ink", stroke="paper", radius=6, width=1.5)


def _ring(x: float, y: float) -> str:
    return rect(Box(x - 4.5, y - 4.5, 9, 9), fill="paper", stroke="ink", radius=4.5, width=1.6)


def _dot(x: float, y: float) -> str:
    return rect(Box(x - 3.5, y - 3.5, 7, 7), fill="ink", radius=3.5)


_MARKS: Mapping[StepKind, Callable[[float, float], str]] = {
    "nat": _rewritten,
    "choice": _chosen,
    "drop": _dropped,
    "rule": _rule,
    "conntrack": _remembered,
    "socket": _socket,
    "route": _ring,
    "hook": _ring,
    "interface": _ring,
    "ipvs": _ring,
}
