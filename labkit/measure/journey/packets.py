"""Which packet of the connection each observation is of: the same packet is seen at many places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.measure.journey.events import Packet
from labkit.measure.journey.observed import Beaconed, Frame, IptablesTraced
from labkit.measure.journey.wire import read_packet, what_is

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from labkit.measure.journey.events import Direction, Headers
    from labkit.measure.journey.observed import Observed
    from labkit.measure.journey.wire import Seen, Wire

ETHERNET_BYTES = 14


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of the connection at one place."""

    packet: Packet
    headers: Headers


@dataclass(frozen=True, slots=True)
class Spot:
    """A packet of the connection in a namespace."""

    namespace: str
    sighting: Sighting


class Packets:
    """The connection's packets, in the order in which they were first seen."""

    def __init__(self, wires: Mapping[Wire, Direction]) -> None:
        self._wires = wires
        self._latest: dict[Hashable, Packet] = {}
        self._visited: set[tuple[int, Hashable, Headers]] = set()
        self.all: list[Packet] = []

    def identify(self, one: Observed) -> Sighting | None:
        """Return which packet an observation is of; None if it is of none, or of another connection.

        A packet that comes to a place again as it was there before has been sent again: it is a new one.
        """
        place, data = _place_and_bytes(one)
        seen = read_packet(data)
        if seen is None or (direction := self._direction(seen)) is None:
            return None
        known_by = (seen.known_by, direction)
        packet = self._latest.get(known_by)
        if packet is None or (place and (packet.number, place, seen.headers) in self._visited):
            packet = self._add(seen, direction, known_by)
        if place:
            self._visited.add((packet.number, place, seen.headers))
        return Sighting(packet, seen.headers)

    def _direction(self, seen: Seen) -> Direction | None:
        direction = self._wires.get(seen.wire)
        if direction is None or not seen.is_error:
            return direction
        return "reply" if direction == "request" else "request"  # an error goes back to whom it quotes

    def _add(self, seen: Seen, direction: Direction, known_by: Hashable) -> Packet:
        what = what_is(seen.headers, is_request=direction == "request")
        packet = Packet(len(self.all) + 1, direction, what, seen.headers)
        self.all.append(packet)
        self._latest[known_by] = packet
        return packet


def identify_all(
    observed: Sequence[Observed], wires: Mapping[Wire, Direction]
) -> tuple[tuple[Packet, ...], list[Sighting | None]]:
    """Return the connection's packets, and for each observation which of them it is of."""
    packets = Packets(wires)
    sightings = [
        packets.identify(one) if isinstance(one.what, Frame | Beaconed | IptablesTraced) else None
        for one in observed
    ]
    return tuple(packets.all), sightings


def _place_and_bytes(one: Observed) -> tuple[Hashable, bytes]:
    what = one.what
    if isinstance(what, Frame):
        return (one.namespace, what.interface, what.leaving), what.data[ETHERNET_BYTES:]
    if isinstance(what, Beaconed):
        return (one.namespace, what.beacon), what.packet
    if isinstance(what, IptablesTraced):
        return None, what.packet
    raise TypeError(f"{type(what).__name__} has no bytes")
