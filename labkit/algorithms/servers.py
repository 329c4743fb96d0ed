"""A virtual server and the real servers behind it, as a scheduler sees them.

They change as a kernel's do: weights are set, connections come and go. A scheduler is told of every change of
the servers and asked for every new connection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ACTIVE_COST = 256  # what an active connection counts more than an inactive one


@dataclass(frozen=True, slots=True)
class Connection:
    """What a scheduler may look at: where a new connection comes from, and where it wants to go."""

    source: str
    source_port: int = 0
    destination: str = "10.96.0.10"


@dataclass(slots=True, eq=False)
class RealServer:
    """A real server; with weight 0 it takes no new connections.

    IPVS calls a connection active while it is established. New TCP connections, closing ones, and all of
    UDP are inactive. `lasting_weight` is the latest one that was not 0, or the first.
    """

    name: str
    address: str
    port: int = 80
    weight: int = 1
    active: int = 0
    inactive: int = 0
    lasting_weight: int = field(init=False)

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise RequestError(f"a weight of {self.weight}", where=self.name, todo="give 0 or more")
        self.lasting_weight = self.weight

    @property
    def takes_connections(self) -> bool:
        """Whether new connections may come here."""
        return self.weight > 0

    @property
    def overhead(self) -> int:
        """How busy it is, in inactive connections: an active one counts as 257 (Linux 7.2's ip_vs.h)."""
        return self.active * ACTIVE_COST + self.active + self.inactive

    @property
    def load(self) -> Fraction:
        """Its overhead by its weight, which must not be 0."""
        return Fraction(self.overhead, self.weight)


class Scheduler(ABC):
    """Chooses a real server for each new connection. One object serves one virtual server."""

    name: ClassVar[str]

    @abstractmethod
    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server for a new connection, or None where there is none for it: it is refused."""

    def note_change(self, servers: Sequence[RealServer]) -> None:  # noqa: B027 - many schedulers hold no table
        """Take note that servers came, went or got another weight; `servers` is what there is now."""


class VirtualServer:
    """A virtual server; `servers` in the kernel's own order, in which the one added last comes first."""

    def __init__(self, scheduler: str | Scheduler, servers: Iterable[RealServer] = ()) -> None:
        """Add `servers` one after the other. Raises RequestError for a scheduler that there is not."""
        from labkit.algorithms.catalogue import make_scheduler

        self.scheduler = make_scheduler(scheduler) if isinstance(scheduler, str) else scheduler
        self.servers: tuple[RealServer, ...] = ()
        for server in servers:
            self.add(server)

    def add(self, server: RealServer) -> None:
        """Add a real server. Raises RequestError where one has its name."""
        if any(one.name == server.name for one in self.servers):
            raise RequestError(
                f"{server.name} is there already", todo="give each real server a name of its own"
            )
        self.servers = (server, *self.servers)
        self.scheduler.note_change(self.servers)

    def remove(self, name: str) -> None:
        """Remove a real server. Raises RequestError where there is none of that name."""
        gone = self.server(name)
        self.servers = tuple(one for one in self.servers if one is not gone)
        self.scheduler.note_change(self.servers)

    def set_weight(self, name: str, weight: int) -> None:
        """Give a real server another weight. Raises RequestError for one that cannot be."""
        server = self.server(name)
        if weight < 0:
            raise RequestError(f"a weight of {weight}", where=name, todo="give 0 or more")
        server.weight = weight
        server.lasting_weight = weight or server.lasting_weight
        self.scheduler.note_change(self.servers)

    def server(self, name: str) -> RealServer:
        """Return the real server of that name. Raises RequestError where there is none."""
        for one in self.servers:
            if one.name == name:
                return one
        there = ", ".join(one.name for one in self.servers) or "none"
        raise RequestError(f"no real server is called {name!r}", todo=f"name one of: {there}")

    def choose(self, connection: Connection) -> RealServer | None:
        """Return the real server for a new connection; None: it is refused."""
        return self.scheduler.choose(self.servers, connection)
