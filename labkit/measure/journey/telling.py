"""From observations to events: who did what to which packet, one observation after the other."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

from labkit.measure.journey.events import Event
from labkit.measure.journey.observed import Beaconed, Frame, IptablesTraced, NftTraced, Tracked
from labkit.measure.journey.ruletelling import RuleTeller
from labkit.measure.journey.spine import SpineEvent
from labkit.measure.journey.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.measure.journey.events import Direction, Headers, Hook, Kind, Source
    from labkit.measure.journey.observed import Observed
    from labkit.measure.journey.packets import Sighting
    from labkit.measure.journey.places import NodeRules, Places

_LOOPBACK = 1  # what a route lookup for a packet made here says it comes in by
_IPVS_CHOICE = re.compile(r"IPVS: Schedule .* d:(\S+)")
_POINTER = re.compile(r" ct=[0-9a-f]+,?")  # differs from boot to boot
_IPVS_DEVICE = "kube-ipvs0"
_NO_DROPS = frozenset({"TCP_RESET", "OTHERHOST", "SOCKET_FILTER", "TCP_OLD_ACK", "QUEUE_PURGE", "TCP_CLOSE"})
_UNNAMED = "NOT_SPECIFIED"  # also what is freed in the ordinary course of things
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


class Telling:
    """The events of one connection so far; `tell` once, then read `events`."""

    def __init__(
        self,
        observed: Sequence[Observed],
        sightings: Sequence[Sighting | None],
        wires: Mapping[Wire, Direction],
        places: Places,
        rules: Mapping[str, NodeRules],
        mode: str,
    ) -> None:
        self._mode = mode
        self.observed, self.sightings, self.wires, self.places = observed, sightings, wires, places
        self.events: list[Event] = []
        self.here: tuple[str, Sighting] | None = None  # who was seen last, and where
        self._ahead = _next_sightings(observed, sightings)
        self._headers: dict[int, tuple[str, Headers]] = {}
        self._rules = RuleTeller(self, rules)
        self._at: dict[int, tuple[str, Sighting]] = {}  # where the kernel's packets (by address) are
        self._address = 0
        self._begin_ns: int | None = None

    def tell(self) -> tuple[Event, ...]:
        """Return the events."""
        for number, (one, sighting) in enumerate(zip(self.observed, self.sightings, strict=True)):
            if sighting is not None:
                self._see(one, sighting)
            elif isinstance(one.what, NftTraced):
                self._trace(one)
            elif isinstance(one.what, Tracked):
                self._track(one, one.what)
            elif isinstance(one.what, SpineEvent):
                self._hear(one, one.what, self._ahead[number])
        return tuple(self.events)

    def add(
        self,
        one: Observed,
        namespace: str,
        sighting: Sighting | None,
        kind: Kind,
        source: Source,
        **fields: Any,
    ) -> None:
        """Add an event; fields not given are empty."""
        if self._begin_ns is None:
            self._begin_ns = one.time_ns
        number, direction = (sighting.packet.number, sighting.packet.direction) if sighting else (0, None)
        values = {**_NOTHING, "before": sighting.headers if sighting else None, **fields}
        when = one.time_ns - self._begin_ns
        self.events.append(
            Event(len(self.events), when, number, direction, namespace, kind, source=source, **values)
        )

    def _see(self, one: Observed, sighting: Sighting) -> None:
        self.here = (one.namespace, sighting)
        what = one.what
        if isinstance(what, Frame):
            self._at[self._address] = self.here
            self._compare(one, sighting, "", "tap")
            interfaces = {"out_interface" if what.leaving else "in_interface": what.interface}
            self.add(one, one.namespace, sighting, "interface", "tap", frame=what.data.hex(), **interfaces)
        elif isinstance(what, Beaconed):
            self._compare(one, sighting, what.beacon.hook, "beacon")
            self.add(
                one, one.namespace, sighting, "hook", "beacon",
                hook=what.beacon.hook, text=what.beacon.after, mark=what.mark, conntrack=what.entry,
                in_interface=what.in_interface, out_interface=what.out_interface,
            )  # fmt: skip
        elif isinstance(what, IptablesTraced):
            self._rules.tell_iptables(one, sighting, what)

    def _compare(self, one: Observed, sighting: Sighting, hook: Hook, source: Source) -> None:
        """Tell an address translation where headers are not what they were a moment ago in this namespace."""
        number, after = sighting.packet.number, sighting.headers
        namespace, before = self._headers.get(number, ("", after))
        self._headers[number] = one.namespace, after
        if namespace != one.namespace or (before.source, before.destination) == (after.source, after.destination):
            return
        verdict = _translation(before, after, is_request=sighting.packet.direction == "request")
        text = self._who_translates(one.namespace, sighting.packet.number, verdict, hook)
        fields = {"hook": hook, "verdict": verdict, "before": before, "after": after, "text": text}
        self.add(one, one.namespace, sighting, "nat", source, **fields)

    def _who_translates(self, namespace: str, packet: int, verdict: str, hook: Hook) -> str:
        """Return what decided it: a rule just met, IPVS (never in PRE- or POSTROUTING), or conntrack."""
        wanted = [target for word, target in (("DNAT", "DNAT"), ("SNAT", "MASQUERADE")) if word in verdict]
        for event in reversed(self.events):
            if (event.namespace, event.packet) != (namespace, packet):
                continue
            if event.kind == "nat":
                break
            if event.kind == "rule" and event.verdict.startswith(tuple(wanted)):
                return "rule"
        is_ipvs = self._mode == "ipvs" and hook in {"input", "forward", "output"} and "DNAT" in verdict
        return "ipvs" if is_ipvs else "conntrack"

    def _trace(self, one: Observed) -> None:
        if self.here is not None and self.here[0] == one.namespace:
            self._rules.tell_nft(one, self.here[1], one.what)  # type: ignore[arg-type]

    def _track(self, one: Observed, what: Tracked) -> None:
        original = Wire(what.entry.protocol, what.entry.original.source, what.entry.original.destination)
        if original in self.wires:
            sighting = self.here[1] if self.here and self.here[0] == one.namespace else None
            fields = {"verdict": what.change, "conntrack": what.entry}
            self.add(one, one.namespace, sighting, "conntrack", "ctnetlink", **fields)

    def _hear(self, one: Observed, event: SpineEvent, ahead: tuple[str, Sighting] | None) -> None:
        match event.name:
            case "net_dev_start_xmit" | "netif_receive_skb":
                self._address = event.fields["skbaddr"]
                self._at.pop(self._address, None)
            case "fib_table_lookup":
                self._route(one, event, ahead)
            case "inet_sock_set_state":
                self._socket(one, event, ahead)
            case "kfree_skb":
                self._drop(one, event)
            case "console":
                self._ipvs(one, event.fields["msg"])

    def _route(self, one: Observed, event: SpineEvent, ahead: tuple[str, Sighting] | None) -> None:
        fields = event.fields
        if fields["iif"] == 0:
            return  # whose is this address? asked by a rule or by bind
        place = ahead if fields["iif"] == _LOOPBACK else self.here
        if place is None:
            return
        namespace, sighting = place
        source, destination = (socket.inet_ntoa(fields[end]) for end in ("src", "dst"))
        headers = sighting.headers
        ends = headers.source.rpartition(":")[0], headers.destination.rpartition(":")[0]
        if headers.protocol == "ICMP":
            ends = headers.source, headers.destination
        if destination != ends[1] or source not in {ends[0], "0.0.0.0"}:
            return  # source validation, or another connection's
        verdict = self._way(namespace, destination, event)
        last = self.events[-1] if self.events else None
        if last is not None and (last.kind, last.namespace, last.packet) == (
            "route", namespace, sighting.packet.number,
        ):  # fmt: skip
            self.events.pop()  # the same question to one table after another: the last one answers
        self.add(one, namespace, sighting, "route", "ftrace", verdict=verdict, table=_table(fields["tb_id"]))

    def _way(self, namespace: str, destination: str, event: SpineEvent) -> str:
        fields = event.fields
        if fields["err"]:
            return "no route"
        device, gateway = fields["name"], socket.inet_ntoa(fields["gw4"])
        if device in {"lo", _IPVS_DEVICE} or self.places.addresses.get(destination) == namespace:
            return "local"
        return f"to {device}" + ("" if gateway in {"0.0.0.0", destination} else f" via {gateway}")

    def _socket(self, one: Observed, event: SpineEvent, ahead: tuple[str, Sighting] | None) -> None:
        fields = event.fields
        own, other = (socket.inet_ntoa(fields[end]) for end in ("saddr", "daddr"))
        wire = Wire("TCP", f"{own}:{fields['sport']}", f"{other}:{fields['dport']}")
        if wire not in self.wires:
            return
        states = [fields[name].removeprefix("TCP_") for name in ("oldstate", "newstate")]
        place = ahead if states[0] == "CLOSE" else self.here
        namespace = self.places.addresses.get(own) or (place[0] if place else "")
        sighting = place[1] if place and place[0] == namespace else None
        self.add(one, namespace, sighting, "socket", "ftrace", verdict=" -> ".join(states))

    def _drop(self, one: Observed, event: SpineEvent) -> None:
        reason = event.fields["reason"]
        place = self._at.pop(event.fields["skbaddr"], None)
        if place is None and reason == "NETFILTER_DROP" and self._is_under_way():
            place = self.here  # made here, and never at an interface
        if place is None or reason in _NO_DROPS:
            return
        namespace, sighting = place
        last = self._last(namespace, sighting.packet.number)
        if reason == _UNNAMED and (last is None or last.kind not in {"hook", "route"}):
            return
        rule = last.text if last is not None and last.kind == "rule" and last.verdict in _REFUSALS else ""
        verdict = "rejected" if last is not None and last.verdict == "REJECT" else "dropped"
        self.add(one, namespace, sighting, "drop", "ftrace", verdict=verdict, reason=reason, text=rule,
                 hook=last.hook if last else "")  # fmt: skip

    def _is_under_way(self) -> bool:
        return bool(self.here and self.events and self.events[-1].namespace == self.here[0])

    def _last(self, namespace: str, packet: int) -> Event | None:
        its = (one for one in reversed(self.events) if (one.namespace, one.packet) == (namespace, packet))
        return next(its, None)

    def _ipvs(self, one: Observed, message: str) -> None:
        if not message.startswith("IPVS:") or self.here is None:
            return
        namespace, sighting = self.here
        if self.places.kinds.get(namespace) != "node":
            return
        choice = _IPVS_CHOICE.search(message)
        text = _POINTER.sub("", message.removeprefix("IPVS: ").strip())
        verdict = choice[1] if choice else ""
        self.add(one, namespace, sighting, "ipvs", "printk", text=text, verdict=verdict, hook=self._hook())

    def _hook(self) -> Hook:
        return next((one.hook for one in reversed(self.events) if one.hook), "")


_REFUSALS = {"REJECT", "DROP", "drop"}


def _next_sightings(
    observed: Sequence[Observed], sightings: Sequence[Sighting | None]
) -> list[tuple[str, Sighting] | None]:
    """Return, for each observation, the packet that is seen next, and where."""
    ahead: list[tuple[str, Sighting] | None] = []
    following: tuple[str, Sighting] | None = None
    for one, sighting in zip(reversed(observed), reversed(sightings), strict=True):
        ahead.append(following)
        following = (one.namespace, sighting) if sighting is not None else following
    return ahead[::-1]


def _translation(before: Headers, after: Headers, *, is_request: bool) -> str:
    """Return which address was translated; an answer's source is where the request's destination was."""
    changed = {
        "DNAT" if is_request else "SNAT": before.destination != after.destination,
        "SNAT" if is_request else "DNAT": before.source != after.source,
    }
    verdict = " and ".join(name for name in ("DNAT", "SNAT") if changed[name])
    return verdict if is_request else f"{verdict} undone"


def _table(number: int) -> str:
    return {253: "default", 254: "main", 255: "local"}.get(number, str(number))
