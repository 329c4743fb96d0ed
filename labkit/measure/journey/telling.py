"""From observations to events: what happened to which packet, one observation after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.measure.journey.events import Event
from labkit.measure.journey.kerneltelling import KernelTeller
from labkit.measure.journey.observed import Beaconed, Frame, IptablesTraced, NftTraced, Tracked
from labkit.measure.journey.packets import Spot
from labkit.measure.journey.ruletelling import RuleTeller
from labkit.measure.journey.spine import SpineEvent
from labkit.measure.journey.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.measure.journey.events import Direction, Headers, Hook, Kind, Source
    from labkit.measure.journey.observed import Observed
    from labkit.measure.journey.packets import Sighting
    from labkit.measure.journey.places import NodeRules, Places

_NOTHING: Mapping[str, Any] = {
    "hook": "",
    "in_interface": "",
    "out_interface": "",
    "table": "",
    "chain": "",
    "rule": None,
    "line": None,
    "text": "",
    "verdict": "",
    "reason": "",
    "compared": 0,
    "mark": None,
    "before": None,
    "after": None,
    "conntrack": None,
    "evidence": "seen",
    "frame": "",
}


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of a connection before its events are told.

    `sightings` say, for each observation, which packet it is of; `rules` are the nodes'.
    """

    observed: Sequence[Observed]
    sightings: Sequence[Sighting | None]
    wires: Mapping[Wire, Direction]
    places: Places
    rules: Mapping[str, NodeRules]
    mode: str


class Telling:
    """The events so far, and who was seen last, and where (`here`). `tell` once."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.events: list[Event] = []
        self.here: Spot | None = None
        self._headers: dict[int, tuple[str, Headers]] = {}
        self._rules = RuleTeller(self, material.rules)
        self._kernel = KernelTeller(self, material)
        self._sightings: dict[int, Sighting] = {}
        self._traced: dict[tuple[str, int], Spot | None] = {}
        self._begin_ns: int | None = None

    def tell(self) -> tuple[Event, ...]:
        """Return the events."""
        material = self.material
        ahead = _next_spots(material)
        for one, sighting, following in zip(material.observed, material.sightings, ahead, strict=True):
            if sighting is not None:
                self._see(one, sighting)
            elif isinstance(one.what, SpineEvent):
                self._kernel.tell(one, one.what, following)
            elif isinstance(one.what, Tracked):
                self._track(one, one.what)
            elif isinstance(one.what, NftTraced):
                self._trace(one, one.what)
        return tuple(self.events)

    def add(self, one: Observed, spot: Spot | None, kind: Kind, source: Source, **fields: Any) -> None:
        """Add an event of the packet at `spot`, None: of no packet; fields not given are empty."""
        if self._begin_ns is None:
            self._begin_ns = one.time_ns
        packet = spot.sighting.packet if spot else None
        values: dict[str, Any] = {
            **_NOTHING,
            "sequence": len(self.events),
            "time_ns": one.time_ns - self._begin_ns,
            "packet": packet.number if packet else 0,
            "direction": packet.direction if packet else None,
            "namespace": spot.namespace if spot else one.namespace,
            "before": spot.sighting.headers if spot else None,
        }
        self.events.append(Event(kind=kind, source=source, **(values | fields)))

    def spot_of(self, event: Event) -> Spot:
        """Return the packet of an event, as it was seen last, in the event's namespace."""
        return Spot(event.namespace, self._sightings[event.packet])

    def last_event(self, spot: Spot) -> Event | None:
        """Return the last event of a packet in a namespace."""
        return next(self._back(spot), None)

    def _back(self, spot: Spot) -> Iterator[Event]:
        place = spot.namespace, spot.sighting.packet.number
        return (event for event in reversed(self.events) if (event.namespace, event.packet) == place)

    def _see(self, one: Observed, sighting: Sighting) -> None:
        self.here = spot = Spot(one.namespace, sighting)
        self._sightings[sighting.packet.number] = sighting
        what = one.what
        if isinstance(what, Frame):
            self._kernel.note_frame(spot)
            self._compare(one, spot, "", "tap")
            side = "out_interface" if what.leaving else "in_interface"
            self.add(one, spot, "interface", "tap", frame=what.data.hex(), **{side: what.interface})
        elif isinstance(what, Beaconed):
            self._compare(one, spot, what.beacon.hook, "beacon")
            self._tell_beacon(one, spot, what)
        elif isinstance(what, IptablesTraced):
            self._compare(one, spot, what.hook, "iptables TRACE")
            self._rules.tell_iptables(one, sighting, what)

    def _tell_beacon(self, one: Observed, spot: Spot, what: Beaconed) -> None:
        fields = {
            "hook": what.beacon.hook,
            "text": what.beacon.after,
            "mark": what.mark,
            "conntrack": what.entry,
            "in_interface": what.in_interface,
            "out_interface": what.out_interface,
        }
        self.add(one, spot, "hook", "beacon", **fields)

    def _compare(self, one: Observed, spot: Spot, hook: Hook, source: Source) -> None:
        """Tell an address translation where headers are not what they were a moment ago in this namespace."""
        packet, after = spot.sighting.packet, spot.sighting.headers
        namespace, before = self._headers.get(packet.number, ("", after))
        self._headers[packet.number] = spot.namespace, after
        is_same = (before.source, before.destination) == (after.source, after.destination)
        if namespace != spot.namespace or is_same:
            return
        verdict = _translation(before, after, is_request=packet.direction == "request")
        text = self._who_translates(spot, verdict, hook)
        fields = {"hook": hook, "verdict": verdict, "before": before, "after": after, "text": text}
        if text == "ipvs" and packet.direction == "request" and not self._has_chosen(spot):
            chosen = {"verdict": after.destination, "hook": hook, "before": before, "evidence": "inferred"}
            self.add(one, spot, "ipvs", source, **chosen)
        self.add(one, spot, "nat", source, **fields)

    def _has_chosen(self, spot: Spot) -> bool:
        """Return whether IPVS's choice for the connection is told, in this namespace."""
        its = (one for one in self.events if one.kind == "ipvs" and one.namespace == spot.namespace)
        return any(one.verdict for one in its)

    def _who_translates(self, spot: Spot, verdict: str, hook: Hook) -> str:
        """Return what decided it: a rule just met, IPVS (never in PRE- or POSTROUTING), or conntrack."""
        targets = tuple(
            target for word, target in (("DNAT", "DNAT"), ("SNAT", "MASQUERADE")) if word in verdict
        )
        for event in self._back(spot):
            if event.kind == "nat":
                break
            if event.kind == "rule" and event.verdict.startswith(targets):
                return "rule"
        is_ipvs = self.material.mode == "ipvs" and hook in {"input", "forward", "output"}
        return "ipvs" if is_ipvs and "DNAT" in verdict else "conntrack"

    def _trace(self, one: Observed, what: NftTraced) -> None:
        """Tell an nft trace message. A rule that rejects reports after the packet that tells of it."""
        key = one.namespace, what.identity
        if what.begins:
            self._traced[key] = self.here if self.here and self.here.namespace == one.namespace else None
        if (spot := self._traced.get(key)) is not None:
            self._rules.tell_nft(one, spot.sighting, what)

    def _track(self, one: Observed, what: Tracked) -> None:
        original = Wire(what.entry.protocol, what.entry.original.source, what.entry.original.destination)
        if original in self.material.wires:
            spot = self.here if self.here and self.here.namespace == one.namespace else None
            self.add(one, spot, "conntrack", "ctnetlink", verdict=what.change, conntrack=what.entry)


def _next_spots(material: Material) -> list[Spot | None]:
    """Return, for each observation, the packet that is seen next, and where."""
    ahead: list[Spot | None] = []
    following: Spot | None = None
    for one, sighting in zip(reversed(material.observed), reversed(material.sightings), strict=True):
        ahead.append(following)
        following = Spot(one.namespace, sighting) if sighting is not None else following
    return ahead[::-1]


def _translation(before: Headers, after: Headers, *, is_request: bool) -> str:
    """Return which address was translated; an answer's source is where the request's destination was."""
    changed = {
        "DNAT" if is_request else "SNAT": before.destination != after.destination,
        "SNAT" if is_request else "DNAT": before.source != after.source,
    }
    verdict = " and ".join(name for name in ("DNAT", "SNAT") if changed[name])
    return verdict if is_request else f"{verdict} undone"
