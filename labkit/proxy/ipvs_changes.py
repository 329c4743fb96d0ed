"""What must change for the guest's IPVS table to become a plan's: pure, like `diff`.

Only differences are sent. Emptying the table first would cut its connections off, and the guest keeps
removed real servers on a list for two minutes, which makes adding them again slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.settings import holds, ipv4_networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labkit.proxy.ipvs import VirtualServer


def plan_changes(
    wanted: Sequence[VirtualServer], held: Sequence[VirtualServer], excluded_cidrs: Iterable[str] = ()
) -> tuple[Change, ...]:
    """Return what turns `held` into `wanted`, in an order in which each change can be made.

    A held virtual server that is not wanted goes, unless its address is in one of `excluded_cidrs`.
    """
    excluded = ipv4_networks(tuple(excluded_cidrs))
    by_key = {server.key: server for server in held}
    keys = {server.key for server in wanted}
    stale = (server for server in held if server.key not in keys and not holds(excluded, server.address))
    changes = [Change(Command.DEL_SERVICE, server) for server in stale]
    for server in wanted:
        changes.extend(_server_changes(server, by_key.get(server.key)))
    return tuple(changes)


def _server_changes(server: VirtualServer, held: VirtualServer | None) -> Iterator[Change]:
    if held is None:
        yield Change(Command.NEW_SERVICE, server)
        yield from (Change(Command.NEW_DEST, server, real) for real in server.real_servers)
        return
    if _settings(server) != _settings(held):
        yield Change(Command.SET_SERVICE, server)
    before = {real.name: real for real in held.real_servers}
    after = {real.name: real for real in server.real_servers}
    for name, real in after.items():
        if name not in before:
            yield Change(Command.NEW_DEST, server, real)
        elif real != before[name]:
            yield Change(Command.SET_DEST, server, real)
    yield from (Change(Command.DEL_DEST, server, real) for name, real in before.items() if name not in after)


def _settings(server: VirtualServer) -> tuple[str, int, int]:
    # Without affinity the guest reports its default time-out (300 s); it means nothing then.
    persistent = bool(server.flags & 1)
    return server.scheduler, server.flags, server.timeout_s if persistent else 0
