"""What a node's own rules do with each Service port, in words: from each address to the endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.capture.entrances import INDENT, entrances
from labkit.capture.iptablesreading import IptablesReading
from labkit.capture.ipvsreading import IpvsReading
from labkit.capture.nftreading import NftReading
from labkit.errors import RequestError
from labkit.proxy.plans import mode_settings
from labkit.proxy.services import forwarded_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.capture.captured import Captured
    from labkit.capture.entrances import Entrance, Reading
    from labkit.proxy.services import ForwardedPort

NOTHING = "nothing in the rules is for it"


def explain(captured: Captured) -> tuple[str, ...]:
    """Return the explanation line by line: how the mode works, then each Service port with its entrances.

    Raises RequestError for a dump of IPVS mode without its virtual servers.
    """
    reading = reading_of(captured)
    lines = [reading.introduction]
    for port in ports_of(captured):
        lines += ["", f"{port.name}", *_entrance_lines(port, reading)]
    return tuple(lines)


def reading_of(captured: Captured) -> Reading:
    """Return the dump of a node as its mode's rules are read. RequestError where they are not in it."""
    dump = captured.dump
    if captured.mode == "nftables":
        return NftReading(dump.nft or "")
    if captured.mode == "ipvs":
        if dump.servers is None:
            raise RequestError(
                "the virtual servers are missing", todo="give the output of ipvsadm-save -n, too"
            )
        return IpvsReading(dump.servers, dump.sets)
    return IptablesReading(dump.tables or {})


def ports_of(captured: Captured) -> tuple[ForwardedPort, ...]:
    """Return the Service ports that the node forwards."""
    settings = mode_settings(captured.mode, captured.node, captured.config, captured.addresses)
    return forwarded_ports(captured.cluster, settings)


def _entrance_lines(port: ForwardedPort, reading: Reading) -> Iterator[str]:
    for entrance in entrances(port):
        yield f"{INDENT}{entrance}"
        yield from (2 * INDENT + line for line in _way(entrance, reading))


def _way(entrance: Entrance, reading: Reading) -> tuple[str, ...]:
    return reading.way(entrance) or (NOTHING,)
