"""Which wires a connection has: what it looks like before and after each address translation, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.measure.journey.observed import Beaconed, Tracked
from labkit.measure.journey.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.measure.journey.events import ConntrackEntry, Direction
    from labkit.measure.journey.observed import Observed

_OTHER: Mapping[Direction, Direction] = {"request": "reply", "reply": "request"}


def find_wires(
    observed: Iterable[Observed], first: Wire, aliases: Iterable[Wire] = ()
) -> dict[Wire, Direction]:
    """Return the connection's wires with their directions: `first`, and whatever conntrack made of it.

    A node knows what it translates a wire to; the next node, or IPVS, knows that one's translation. `aliases`
    are other wires of the same connection, as SCTP may have.
    """
    entries = {entry for one in observed if (entry := _entry(one)) is not None}
    wires: dict[Wire, Direction] = {}
    for wire in (first, *aliases):
        wires |= {wire: "request", wire.reversed: "reply"}
    known = 0
    while known != len(wires):
        known = len(wires)
        for entry in entries:
            _add(entry, wires)
    return wires


def _entry(one: Observed) -> ConntrackEntry | None:
    return one.what.entry if isinstance(one.what, Beaconed | Tracked) else None


def _add(entry: ConntrackEntry, wires: dict[Wire, Direction]) -> None:
    original = Wire(entry.protocol, entry.original.source, entry.original.destination)
    translated = Wire(entry.protocol, entry.reply.source, entry.reply.destination).reversed
    known = original if original in wires else translated
    if known not in wires:
        return
    direction = wires[known]
    # Between DNAT, which comes first, and SNAT a packet has one new end and one old one.
    half_way = Wire(entry.protocol, original.source, translated.destination)
    for wire in (original, half_way, translated):
        wires.setdefault(wire, direction)
        wires.setdefault(wire.reversed, _OTHER[direction])
