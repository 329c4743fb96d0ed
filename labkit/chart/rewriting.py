"""One connection as both of its ends saw it, packet by packet: where the node rewrote an address."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from labkit.chart.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.traffic.capture import SeenPacket
    from labkit.traffic.packets import FollowedConnection

NOT_SEEN = "not seen"
ARROW = " \N{RIGHTWARDS ARROW} "
FLAG_NAMES = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH"}


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One packet of a connection, as each side of the node saw it: "192.0.2.10:40001 → 10.96.0.10:80"."""

    packet: str
    client_side: str
    pod_side: str


@dataclass(frozen=True, slots=True)
class RewritingTable:
    """The packets of one connection side by side; the last line of a notebook's cell shows it."""

    rows: tuple[Rewriting, ...]
    table: Table
    alt: str

    def __str__(self) -> str:
        return f"{self.alt}\n\n{self.table.text()}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.alt)}</p>\n{self.table.html()}"


def show_rewriting(followed: FollowedConnection) -> RewritingTable:
    """Return the packets of a followed connection, the client's side of the node beside the pod's."""
    rows = rewritings(followed.packets, followed.outcome.pod or "")
    columns = (Column("packet", "left"), Column("client's side", "left"), Column("pod's side", "left"))
    cells = tuple((row.packet, row.client_side, row.pod_side) for row in rows)
    return RewritingTable(
        rows, Table("One connection, seen from both of its ends", columns, cells), _alt(followed)
    )


def rewritings(packets: Sequence[SeenPacket], pod: str) -> tuple[Rewriting, ...]:
    """Return each packet once, in order of time, as it was at the client and at `pod`.

    The two sights of a packet are matched by what address translation leaves alone: sequence number, flags
    and payload.
    """
    sights: dict[tuple[int, str, bytes], dict[bool, SeenPacket]] = {}
    for packet in packets:
        sights.setdefault((packet.sequence, packet.flags, packet.payload), {}).setdefault(
            packet.where == pod, packet
        )
    return tuple(
        Rewriting(_name(next(iter(seen.values()))), _ends(seen.get(False)), _ends(seen.get(True)))
        for seen in sights.values()
    )


def _name(packet: SeenPacket) -> str:
    flags = [FLAG_NAMES.get(flag, flag) for flag in packet.flags]
    kind = "-".join(flag for flag in flags if flag != "PSH") or packet.protocol
    return f"{kind}, {len(packet.payload)} bytes" if packet.payload else kind


def _ends(packet: SeenPacket | None) -> str:
    return f"{packet.source}{ARROW}{packet.destination}" if packet else NOT_SEEN


def _alt(followed: FollowedConnection) -> str:
    outcome = followed.outcome
    if outcome.pod is None:
        return f"The client {outcome.client} got no answer ({outcome.error})."
    first = next(packet for packet in followed.packets if packet.where != outcome.pod)
    arrived = next((packet for packet in followed.packets if packet.where == outcome.pod), first)
    source = (
        "its own address"
        if arrived.source == first.source
        else f"{arrived.source} instead of its own address"
    )
    return (
        f"The client called {first.destination}; the packets arrived at {arrived.destination}, which is "
        f"{outcome.pod}, from {source}; the answers came back to the client from {first.destination}."
    )
