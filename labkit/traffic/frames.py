"""Frames that were caught elsewhere: as Scapy's packets, and as a file that Wireshark opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.traffic.scapylock import SCAPY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CaughtFrame:
    """An Ethernet frame, when it passed (ns), at which `namespace/interface`, and what happened then."""

    data: bytes
    time_ns: int
    where: str
    comment: str


def as_scapy(frames: Sequence[CaughtFrame]) -> list[Any]:
    """Return the frames as Scapy's packets: `time`, `sniffed_on` and `comment` are what is known of each."""
    with SCAPY:
        from scapy.layers.l2 import Ether

        packets = []
        for frame in frames:
            packet = Ether(frame.data)
            packet.time = frame.time_ns / 1e9
            packet.sniffed_on = frame.where
            packet.comment = frame.comment.encode()
            packets.append(packet)
        return packets


def write_pcapng(path: Path, frames: Sequence[CaughtFrame]) -> None:
    """Write the frames as a pcapng file with an interface for each place. RequestError where it cannot be."""
    with SCAPY:
        from scapy.utils import wrpcapng

        try:
            wrpcapng(str(path), as_scapy(frames))
        except OSError as error:
            raise RequestError(
                f"the packets cannot be written: {error.strerror}",
                where=str(path),
                todo="choose another file",
            ) from error
