"""What the sources of a journey report, one immutable value each, before anybody puts it together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from labkit.measure.journey.events import ConntrackEntry, Hook
    from labkit.measure.journey.spine import SpineEvent
    from labkit.measure.journey.tracetable import Beacon


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame at an interface; `leaving` if it goes out there. `data` is the whole of it."""

    interface: str
    leaving: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Beaconed:
    """A packet at a beacon: its bytes from the IP header on, mark, interfaces and conntrack entry."""

    beacon: Beacon
    packet: bytes
    mark: int
    in_interface: str
    out_interface: str
    entry: ConntrackEntry | None
    number: int  # of its group, one after the other; a gap is a loss


@dataclass(frozen=True, slots=True)
class IptablesTraced:
    """A line of TRACE: rule `number` of `chain` matched (`rule`), or the packet got to its end."""

    table: str
    chain: str
    what: Literal["rule", "return", "policy"]
    rule: int
    hook: Hook
    packet: bytes
    mark: int
    in_interface: str
    out_interface: str
    number: int


@dataclass(frozen=True, slots=True)
class NftTraced:
    """An nft trace message. `handle` names the rule, 0 where none matched; `verdict` as nft writes it.

    `identity` is the packet's for as long as it is in one chain; `begins` if the chain is a new one.
    """

    table: str
    chain: str
    what: Literal["rule", "return", "policy"]
    handle: int
    verdict: str
    mark: int
    identity: int
    begins: bool


@dataclass(frozen=True, slots=True)
class Tracked:
    """A message of conntrack's about one connection."""

    change: Literal["new", "update", "destroy"]
    entry: ConntrackEntry


Report = Frame | Beaconed | IptablesTraced | NftTraced | Tracked


@dataclass(frozen=True, slots=True)
class Captured:
    """What one namespace's tap caught: `report` None is a message that concerns nobody, kept for its place.

    `device`, `leaving` and `length` are what the kernel's trace event says of the same moment.
    """

    time_ns: int
    device: str
    leaving: bool
    length: int
    report: Report | None


@dataclass(frozen=True, slots=True)
class Observed:
    """A report or trace event in its place; `namespace` is "" where only the neighbours can tell."""

    time_ns: int
    namespace: str
    what: Report | SpineEvent
