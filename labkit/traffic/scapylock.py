"""Scapy in a namespace, one user at a time.

Scapy's configuration belongs to the whole process and describes one network. So a lock is held while it is
used, and its interfaces and routes are read anew in the namespace where it is used and put back afterwards.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.fabric.namespace import Namespace

SCAPY = threading.RLock()

T = TypeVar("T")


def run_scapy(namespace: Namespace, function: Callable[[], T]) -> T:
    """Call `function`, which uses Scapy (`sr1(IP(dst=...) / TCP())`), in `namespace` and return its value.

    Packets of layer 3 go through a raw IP socket there: the system finds route and neighbour. Scapy's own
    way asks for the neighbour itself, and stalls where nobody answers.
    """

    def run_here() -> T:
        with SCAPY, _configured_here():
            return function()

    return namespace.run(run_here)


@contextmanager
def _configured_here() -> Iterator[None]:
    """Let Scapy's configuration describe the caller's network namespace."""
    from scapy.config import conf
    from scapy.interfaces import NetworkInterfaceDict
    from scapy.layers import inet  # noqa: F401  fills conf
    from scapy.route import Route
    from scapy.supersocket import L3RawSocket

    before = conf.ifaces, conf.route, conf.iface, conf.L3socket
    try:
        conf.ifaces = NetworkInterfaceDict()
        conf.ifaces.providers = before[0].providers
        conf.ifaces.reload()
        conf.route = Route()
        conf.ifaces.load_confiface()
        conf.L3socket = L3RawSocket
        yield
    finally:
        conf.ifaces, conf.route, conf.iface, conf.L3socket = before
