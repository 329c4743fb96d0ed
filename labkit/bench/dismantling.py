"""Waiting until the kernel has taken namespaces apart: it does so later, and would do so in the next figure.

The kernel frees namespaces in a worker, all that were closed at once together. A veth pair from a namespace
that stays into one that is closed last tells when: its near end vanishes with that batch's devices.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.fabric import links
from labkit.fabric.namespace import Namespace
from labkit.fabric.netlink import RouteSocket
from labkit.spec.addressplan import Interface, LinkPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEADLINE_S = 60.0
_BRIDGE = Interface("br0", 3, "0a:58:00:00:00:01")
_NEAR, _FAR = Interface("near", 10, "0a:58:00:00:00:02"), Interface("far", 2, "0a:58:00:00:00:03")


@contextmanager
def dismantled_between() -> Iterator[Callable[[], None]]:
    """Yield what waits until all namespaces that were closed before the call are taken apart."""
    with (
        Namespace.create("bench-observer") as observer,
        observer.run(lambda: RouteSocket(observer.name)) as socket,
    ):
        socket.send([links.add_bridge(_BRIDGE)])
        yield lambda: _wait(observer, socket)


def _wait(observer: Namespace, socket: RouteSocket) -> None:
    with Namespace.create("bench-sentinel") as sentinel:
        link = LinkPlan(observer.name, _BRIDGE, _NEAR, sentinel.name, _FAR, hairpin=False)
        socket.send([links.add_veth(link, sentinel.fileno())])
    deadline = time.monotonic() + _DEADLINE_S
    while _is_there(socket) and time.monotonic() < deadline:
        time.sleep(0.01)


def _is_there(socket: RouteSocket) -> bool:
    indexes = (links.index_of(body) for body in socket.dump(*links.bridge_ports_request()))
    return _NEAR.index in indexes
