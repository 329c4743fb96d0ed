"""Source ports of measured flows: one never used before by this address, as long as there are any.

The system's own choice may return to a port within a minute. IPVS and conntrack then still hold the old
connection and send the new one where it went: that looks like an effect of the scheduler. So flows take
turns through a range below the usual ephemeral ports (from 32768) and node ports (from 30000).
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from labkit.errors import TrafficError

if TYPE_CHECKING:
    import socket

FIRST_PORT = 10_000
PORT_COUNT = 20_000
# Neighbours start this far apart: masquerading maps them to one address, where equal ports would clash.
STRIDE = 313

_taken: dict[str, int] = {}


def next_port(address: str) -> int:
    """Return the next source port for flows from `address`; after 20,000 they begin again."""
    number = _taken.get(address)
    if number is None:
        number = int(IPv4Address(address)) * STRIDE
    _taken[address] = number + 1
    return FIRST_PORT + number % PORT_COUNT


def bind_source(unbound: socket.socket, address: str) -> int:
    """Bind a socket to `address` and its next free port; return the port.

    Raises TrafficError if this network namespace does not have the address or no port is free.
    """
    for _ in range(PORT_COUNT):
        port = next_port(address)
        try:
            unbound.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise TrafficError(
                    f"the client cannot send from {address}: {error.strerror}",
                    todo="ip address in the client's namespace shows the addresses it has",
                ) from error
        else:
            return port
    raise TrafficError(f"every source port of {address} is in use", todo="wait a minute, or use more clients")
