"""Events that the kernel's own trace tells of: routing, sockets, drops, IPVS's debug lines.

The trace knows no namespaces. A lookup for a packet that came in belongs to the packet seen last, one for a
packet that is made here to the packet seen next; a socket belongs to whose address it has.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from labkit.measure.journey.joining import ENTERING, LEAVING
from labkit.measure.journey.wire import Wire

if TYPE_CHECKING:
    from labkit.measure.journey.events import Hook
    from labkit.measure.journey.observed import Observed
    from labkit.measure.journey.packets import Spot
    from labkit.measure.journey.spine import SpineEvent
    from labkit.measure.journey.telling import Material, Telling

_LOOPBACK = 1  # what a lookup for a packet made here says it comes in by
_IPVS_DEVICE = "kube-ipvs0"
_IPVS_CHOICE = re.compile(r"Schedule .* d:(\S+)")
_POINTER = re.compile(r" ct=[0-9a-f]+,?")  # differs from boot to boot
_TABLES = {253: "default", 254: "main", 255: "local"}
_NO_DROPS = frozenset({"TCP_RESET", "OTHERHOST", "SOCKET_FILTER", "TCP_OLD_ACK", "QUEUE_PURGE", "TCP_CLOSE"})
_BY_RULE = "NETFILTER_DROP"
_UNNAMED = "NOT_SPECIFIED"  # also what is freed in the ordinary course of things
_NO_DESTINATION = "no dest found"
NO_SERVER = "no real server"
REFUSALS = frozenset({"REJECT", "DROP", "drop"})


class KernelTeller:
    """Adds the events of the kernel's trace to a telling."""

    def __init__(self, telling: Telling, material: Material) -> None:
        self._telling = telling
        self._material = material
        self._at: dict[int, Spot] = {}  # where the kernel's packets (by their address in memory) are
        self._address = 0

    def note_frame(self, spot: Spot) -> None:
        """Note that the last device event was of this packet."""
        self._at[self._address] = spot

    def tell(self, one: Observed, event: SpineEvent, ahead: Spot | None) -> None:
        """Add what an event says; `ahead` is the packet that is seen next."""
        if event.name in {LEAVING, ENTERING}:
            self._address = event.fields["skbaddr"]
            self._at.pop(self._address, None)
        elif event.name == "fib_table_lookup":
            self._route(one, event, ahead)
        elif event.name == "inet_sock_set_state":
            self._socket(one, event, ahead)
        elif event.name == "kfree_skb":
            self._drop(one, event)
        elif event.name == "console":
            self._ipvs(one, event.fields["msg"])

    def _route(self, one: Observed, event: SpineEvent, ahead: Spot | None) -> None:
        fields = event.fields
        spot = ahead if fields["iif"] == _LOOPBACK else self._telling.here
        if fields["iif"] == 0 or spot is None:
            return  # whose is this address? asked by a rule or by bind
        source, destination = (socket.inet_ntoa(fields[end]) for end in ("src", "dst"))
        ends = [_address(end) for end in (spot.sighting.headers.source, spot.sighting.headers.destination)]
        if destination != ends[1] or source not in {ends[0], "0.0.0.0"}:
            return  # source validation, or another connection's
        last = self._telling.events[-1] if self._telling.events else None
        place = spot.namespace, spot.sighting.packet.number
        if last is not None and last.kind == "route" and (last.namespace, last.packet) == place:
            self._telling.events.pop()  # the same question to one table after another: the last one answers
        table = _TABLES.get(fields["tb_id"], str(fields["tb_id"]))
        verdict = self._way(spot.namespace, destination, event)
        self._telling.add(one, spot, "route", "ftrace", verdict=verdict, table=table)

    def _way(self, namespace: str, destination: str, event: SpineEvent) -> str:
        fields = event.fields
        if fields["err"]:
            return "no route"
        device, gateway = fields["name"], socket.inet_ntoa(fields["gw4"])
        if device in {"lo", _IPVS_DEVICE} or self._material.places.addresses.get(destination) == namespace:
            return "local"
        return f"to {device}" + ("" if gateway in {"0.0.0.0", destination} else f" via {gateway}")

    def _socket(self, one: Observed, event: SpineEvent, ahead: Spot | None) -> None:
        fields = event.fields
        own, other = (socket.inet_ntoa(fields[end]) for end in ("saddr", "daddr"))
        if Wire("TCP", f"{own}:{fields['sport']}", f"{other}:{fields['dport']}") not in self._material.wires:
            return
        states = [fields[name].removeprefix("TCP_") for name in ("oldstate", "newstate")]
        spot = ahead if states[0] == "CLOSE" else self._telling.here
        namespace = self._material.places.addresses.get(own) or (spot.namespace if spot else "")
        if spot is not None and spot.namespace != namespace:
            spot = None  # a program closed it, and no packet did
        self._telling.add(one, spot, "socket", "ftrace", namespace=namespace, verdict=" -> ".join(states))

    def _drop(self, one: Observed, event: SpineEvent) -> None:
        reason = event.fields["reason"]
        spot = self._at.pop(event.fields["skbaddr"], None)
        if spot is None and reason == _BY_RULE:
            spot = self._refused()  # made here, and never at an interface
        if spot is None or reason in _NO_DROPS:
            return
        last = self._telling.last_event(spot)
        if reason == _UNNAMED and (last is None or last.kind not in {"hook", "route"}):
            return
        fields = {"verdict": "dropped", "reason": reason, "hook": last.hook if last else ""}
        if last is not None and last.kind == "rule" and last.verdict in REFUSALS:
            fields |= {"text": last.text, "verdict": "rejected" if last.verdict == "REJECT" else "dropped"}
        elif last is not None and last.verdict == NO_SERVER:
            fields |= {"text": last.text, "verdict": "rejected"}
        self._telling.add(one, spot, "drop", "ftrace", **fields)

    def _refused(self) -> Spot | None:
        """Return the packet made here that netfilter has just refused.

        It is the one that a rule refused last, else (IPVS refuses without a rule) the last one that is no
        ICMP error: a packet is dropped after the error that tells its sender has been sent.
        """
        here, events = self._telling.here, self._telling.events
        if here is None or not events or events[-1].namespace != here.namespace:
            return None
        if here.sighting.headers.protocol == "ICMP" and not self._has_left(here):
            return here
        dropped = {event.packet for event in events if event.kind == "drop"}
        its = [one for one in events if one.namespace == here.namespace and one.packet not in dropped | {0}]
        by_rule = [one for one in its if one.kind == "rule" and one.verdict in REFUSALS]
        no_errors = [one for one in its if one.before and one.before.protocol != "ICMP"]
        last = (by_rule or no_errors)[-1:]
        return self._telling.spot_of(last[0]) if last else here

    def _has_left(self, spot: Spot) -> bool:
        place = spot.namespace, spot.sighting.packet.number, "interface"
        return any((one.namespace, one.packet, one.kind) == place for one in self._telling.events)

    def _ipvs(self, one: Observed, message: str) -> None:
        here = self._telling.here
        kinds = self._material.places.kinds
        if not message.startswith("IPVS:") or here is None or kinds.get(here.namespace) != "node":
            return
        text = _POINTER.sub("", message.removeprefix("IPVS:").strip())
        choice = _IPVS_CHOICE.search(text)
        verdict = NO_SERVER if _NO_DESTINATION in text else choice[1] if choice else ""
        fields = {"text": text, "verdict": verdict, "hook": self._hook()}
        self._telling.add(one, here, "ipvs", "printk", **fields)

    def _hook(self) -> Hook:
        return next((one.hook for one in reversed(self._telling.events) if one.hook), "")


def _address(end: str) -> str:
    return end.partition(":")[0]
