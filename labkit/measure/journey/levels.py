"""How much of a journey is shown: its summary, its rules, or everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.measure.journey.events import Event, Kind, LaneKind
    from labkit.measure.journey.journey import Journey

Level = Literal["summary", "rules", "everything"]
_TOLD_IN_SUMMARY = 2  # packets: the first one, and the answer to it; later ones go where conntrack remembers
_DECIDING = ("DNAT", "MASQUERADE", "REJECT", "DROP", "drop")
_CHOSEN = ("jump KUBE-SEP-", "goto endpoint-")


def select_events(journey: Journey, level: Level) -> tuple[Event, ...]:
    """Return the events of a level. Raises RequestError where there is no such level."""
    kinds = {lane.namespace: lane.kind for lane in journey.lanes}
    levels: Mapping[str, Callable[[Event], bool]] = {
        "summary": lambda event: _is_summary(event, kinds),
        "rules": lambda event: event.kind != "hook" and (event.kind != "interface" or _is_end(event, kinds)),
        "everything": lambda _: True,
    }
    if level not in levels:
        raise RequestError(f"there is no level {level!r}", todo=f"write one of: {', '.join(levels)}")
    return tuple(event for event in journey.events if levels[level](event))


def _is_summary(event: Event, kinds: Mapping[str, LaneKind]) -> bool:
    if event.kind == "drop":
        return True
    tells: Mapping[Kind, bool] = {
        "interface": _is_end(event, kinds),
        "rule": event.verdict.startswith((*_DECIDING, *_CHOSEN)),
        "ipvs": bool(event.verdict),
        "conntrack": event.verdict == "new" and _is_translated(event),
        "route": event.direction == "request" and kinds.get(event.namespace) == "node",
        "nat": True,
        "socket": event.verdict.endswith("ESTABLISHED"),
    }
    return event.packet <= _TOLD_IN_SUMMARY and tells.get(event.kind, False)


def _is_end(event: Event, kinds: Mapping[str, LaneKind]) -> bool:
    """Return whether a packet leaves or enters the namespace of a client or pod."""
    return kinds.get(event.namespace) in {"client", "pod"}


def _is_translated(event: Event) -> bool:
    entry = event.conntrack
    return entry is not None and (entry.reply.source, entry.reply.destination) != (
        entry.original.destination,
        entry.original.source,
    )
