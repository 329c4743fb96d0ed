"""Waiting until the kernel has taken namespaces apart: it does so later, and would do so in the next figure.

The kernel frees namespaces in a worker, all that were closed at once together. A veth pair from a namespace
that stays into one that is closed last tells when: its near end vanishes with that batch's devices.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.errors import GuestError
from labkit.fabric import links
from labkit.fabric.namespace import Namespace
from labkit.fabric.netlink import RouteSocket
from labkit.spec.addressplan import Interface, LinkPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.bench.benchmark import Measure

_DEADLINE_S = 60.0
_BRIDGE = Interface("br0", 3, "0a:58:00:00:00:01")
_NEAR, _FAR = Interface("near", 10, "0a:58:00:00:00:02"), Interface("far", 2, "0a:58:00:00:00:03")


@contextmanager
def dismantled_between() -> Iterator[Callable[[], None]]:
    """Yield what waits until all namespaces that were closed before the call are taken apart."""
    with Namespace.create("bench-observer") as observer:
        with observer.run(lambda: RouteSocket(observer.name)) as route:
            route.send([links.add_bridge(_BRIDGE)])
        yield lambda: _wait(observer)


def then(wait: Callable[[], None], measure: Measure) -> Measure:
    """Return a measure after which nothing of its work is left to be taken apart."""

    def measured() -> float:
        try:
            return measure()
        finally:
            wait()

    return measured


def _wait(observer: Namespace) -> None:
    """Wait for the kernel to tell that the link to a namespace that was closed last is gone."""
    with (
        observer.run(lambda: RouteSocket(observer.name)) as events,
        Namespace.create("bench-sentinel") as sentinel,
    ):
        link = LinkPlan(observer.name, _BRIDGE, _NEAR, sentinel.name, _FAR, hairpin=False)
        events.send([links.add_veth(link, sentinel.fileno())])
        events.listen_to_links()
        sentinel.close()
        deadline = time.monotonic() + _DEADLINE_S
        while _is_there(events):
            if not events.wait_for_event(deadline):
                raise GuestError(
                    f"the kernel has not taken closed namespaces apart for {_DEADLINE_S:.0f} s",
                    where="between two benchmarks",
                    todo="something else holds one of them open: ip netns",
                )


def _is_there(socket: RouteSocket) -> bool:
    indexes = (links.index_of(body) for body in socket.dump(*links.bridge_ports_request()))
    return _NEAR.index in indexes
