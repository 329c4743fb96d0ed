"""Schedulers that hash: dh, sh and mh. The same client (dh: the same destination) gets the same server.

A table says which server has which hash; who has a place in it whose weight became 0, or 0 from the start in
dh and sh, refuses the connections that hash to it unless `falls_back`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import cycle, islice
from typing import TYPE_CHECKING, ClassVar

from labkit.algorithms.servers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labkit.algorithms.servers import Connection, RealServer

TABLE_BITS = 8
TABLE_SIZE = 1 << TABLE_BITS
MAGLEV_SIZE = 4093  # a prime: every step size meets every place
MAGLEV_BITS = 6  # a server takes at most so many bits' worth of places in a turn
_PLACE_KEY, _STEP_KEY = 2654435761, 2654446892
_GOLDEN_RATIO = 0x61C88647
_WORD, _LONG = (1 << 32) - 1, (1 << 64) - 1


class DestinationHashing(Scheduler):
    """dh: by the destination's address, which is one and the same for all clients of a virtual server.

    So with kube-proxy one server takes all connections to a cluster IP. Weights do not count.
    """

    name: ClassVar[str] = "dh"

    def __init__(self) -> None:
        self._table: tuple[RealServer, ...] = ()

    def note_change(self, servers: Sequence[RealServer]) -> None:
        """Deal the table's places out again, to one server after the other."""
        self._table = tuple(islice(cycle(servers), TABLE_SIZE))

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server at the destination's place."""
        if not self._table:
            return None
        server = self._table[multiplicative_hash(_number(connection.destination))]
        return server if server.takes_connections else None


@dataclass(slots=True)
class SourceHashing(Scheduler):
    """sh: by the client's address (and its port, `with_port`); a server has as many places as its weight.

    `with_port` and `falls_back` are the flags sh-port and sh-fallback of ipvsadm.
    """

    name: ClassVar[str] = "sh"
    with_port: bool = False
    falls_back: bool = False
    _table: tuple[RealServer, ...] = field(default=(), init=False)

    def note_change(self, servers: Sequence[RealServer]) -> None:
        """Deal the table's places out again: to each server as many as its weight, at least 1."""
        turns = (server for server in cycle(servers) for _ in range(max(1, server.weight)))
        self._table = tuple(islice(turns, TABLE_SIZE))

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server at the client's place; falling back, the next from twice that place on."""
        if not self._table:
            return None
        place = multiplicative_hash(_source(connection, with_port=self.with_port))
        others = (self._table[(2 * place + number) % TABLE_SIZE] for number in range(TABLE_SIZE))
        return _first_taking(self._table[place], others if self.falls_back else ())


@dataclass(slots=True)
class MaglevHashing(Scheduler):
    """mh: as sh, but servers pick their places themselves (Maglev, Eisenbud et al., NSDI 2016).

    Each goes through the table's places in an order of its own, which its address and port decide, and
    takes the next free one, in turns by weight. So when a server leaves, most of the other clients keep
    theirs. The weights are the latest that were not 0: one whose weight becomes 0 keeps its places.
    kube-proxy sets `with_port`.
    """

    name: ClassVar[str] = "mh"
    with_port: bool = False
    falls_back: bool = False
    _table: tuple[RealServer, ...] | None = field(default=(), init=False)

    def note_change(self, servers: Sequence[RealServer]) -> None:
        """Let the servers pick their places again, when the next connection comes."""
        self._table = None

    def choose(self, servers: Sequence[RealServer], connection: Connection) -> RealServer | None:
        """Return the server at the client's place; falling back, at the next numbers' places."""
        table = self._table = maglev_table(servers) if self._table is None else self._table
        if not table:
            return None
        source = _source(connection, with_port=self.with_port)
        place = keyed_hash(source, _PLACE_KEY) % MAGLEV_SIZE
        others = ((place + number) % MAGLEV_SIZE for number in range(MAGLEV_SIZE))
        tried = (table[keyed_hash(source + other, _PLACE_KEY) % MAGLEV_SIZE] for other in others)
        return _first_taking(table[place], tried if self.falls_back else ())


def maglev_table(servers: Sequence[RealServer]) -> tuple[RealServer, ...]:
    """Return who has which of the MAGLEV_SIZE places; nobody where no server ever had a weight."""
    turns = _maglev_turns(servers)
    if not any(turns):
        return ()
    preferences = [_preferred_places(server) for server in servers]
    table: list[RealServer | None] = [None] * MAGLEV_SIZE
    picking = cycle([number for number, count in enumerate(turns) for _ in range(count)])
    for number in islice(picking, MAGLEV_SIZE):
        place = next(place for place in preferences[number] if table[place] is None)
        table[place] = servers[number]
    return tuple(server for server in table if server is not None)


def multiplicative_hash(number: int) -> int:
    """Return Linux' hash_32 of a number: the TABLE_BITS high bits of its product with the golden ratio."""
    return (number * _GOLDEN_RATIO & _WORD) >> (32 - TABLE_BITS)


def keyed_hash(number: int, key: int) -> int:
    """Return Linux' hsiphash of a 32-bit number: on 64-bit systems SipHash-1-3, cut to 32 bits.

    SipHash: Aumasson and Bernstein, INDOCRYPT 2012; four bytes fit in the one last word, with their count.
    Both halves of the key are `key`.
    """
    word = (4 << 56) | (number & _WORD)
    state = tuple(key ^ constant for constant in _SIPHASH_START)
    a, b, c, d = _siphash_round(state[0], state[1], state[2], state[3] ^ word)
    a, c = a ^ word, c ^ 0xFF
    for _ in range(3):
        a, b, c, d = _siphash_round(a, b, c, d)
    return (a ^ b ^ c ^ d) & _WORD


_SIPHASH_START = tuple(
    int.from_bytes(b"somepseudorandomlygeneratedbytes"[at : at + 8]) for at in (0, 8, 16, 24)
)


def _siphash_round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a, c = (a + b) & _LONG, (c + d) & _LONG
    b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
    a = _rotated(a, 32)
    a, c = (a + d) & _LONG, (c + b) & _LONG
    d, b = _rotated(d, 21) ^ a, _rotated(b, 17) ^ c
    return a, b, _rotated(c, 32), d


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _LONG


def _maglev_turns(servers: Sequence[RealServer]) -> list[int]:
    """Return how many places each server takes in a turn: its weight, made small."""
    weights = [server.lasting_weight for server in servers]
    divisor = math.gcd(*weights)
    if divisor == 0:
        return [0] * len(weights)
    shift = max(0, (max(weights) // divisor).bit_length() - MAGLEV_BITS)
    return [(weight // divisor >> shift) or int(weight > 0) for weight in weights]


def _preferred_places(server: RealServer) -> Iterator[int]:
    """Yield a server's places in the order in which it wants them: from its own start in its own steps."""
    number = _number(server.address) + server.port
    start = keyed_hash(number, _PLACE_KEY) % MAGLEV_SIZE
    step = keyed_hash(number, _STEP_KEY) % (MAGLEV_SIZE - 1) + 1
    return ((start + step * turn) % MAGLEV_SIZE for turn in range(MAGLEV_SIZE))


def _first_taking(server: RealServer, others: Iterable[RealServer]) -> RealServer | None:
    return next((one for one in (server, *others) if one.takes_connections), None)


def _source(connection: Connection, *, with_port: bool) -> int:
    return _number(connection.source) + (connection.source_port if with_port else 0)


def _number(address: str) -> int:
    return int(IPv4Address(address))
