"""IPVS mode's virtual servers in words, and the sets in which the rules look their addresses up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from labkit.capture.entrances import INDENT
from labkit.proxy.ipvs_sets import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.capture.entrances import Entrance

_LINE = re.compile(r"-(A|a) (\S+) ([\d.]+):(\d+) (.*)")
_PROTOCOLS = {
    "-t": "TCP",
    "-u": "UDP",
    "--tcp-service": "TCP",
    "--udp-service": "UDP",
    "--sctp-service": "SCTP",
}
_COMMENTS = {name: comment for name, _, comment in SETS}
_Key = tuple[str, str, int]


@dataclass(slots=True)
class _Server:
    scheduler: str
    persistence_s: str
    reals: list[str] = field(default_factory=list)


class IpvsReading:
    """The virtual servers and sets of a node in IPVS mode."""

    introduction: ClassVar[str] = (
        "A virtual server has the address and port, and its scheduler chooses a real server. The constant "
        "rules of iptables ask sets who is to be masqueraded."
    )

    def __init__(self, servers: Sequence[str], sets: Sequence[str] | None) -> None:
        """Take the lines of `ipvsadm -S -n` and `ipset save`."""
        self._servers: dict[_Key, _Server] = {}
        for line in servers:
            self._take(line)
        self._sets = None if sets is None else _members(sets)

    def _take(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            return
        words = found[5].split()
        key = _PROTOCOLS[found[2]], found[3], int(found[4])
        options = dict(pairwise(words))
        if found[1] == "A":
            self._servers[key] = _Server(options["-s"], options.get("-p", ""))
        elif key in self._servers:
            self._servers[key].reals.append(f"{options['-r']}, weight {options['-w']}")

    def way(self, entrance: Entrance) -> tuple[str, ...]:
        """Return what becomes of a new connection to `entrance`, line by line; () if nothing."""
        return (*self._set_lines(entrance), *self._server_lines(entrance))

    def _server_lines(self, entrance: Entrance) -> Iterator[str]:
        for (protocol, address, port), server in self._servers.items():
            here = entrance.address in {"", address}
            if not here or (protocol, port) != (entrance.protocol, entrance.port):
                continue
            stays = f", who was there stays for {server.persistence_s} s" if server.persistence_s else ""
            yield f"virtual server {address}:{port}, scheduler {server.scheduler}{stays}"
            yield from (INDENT + real for real in server.reals)
            if not server.reals:
                yield f"{INDENT}no real server"

    def _set_lines(self, entrance: Entrance) -> Iterator[str]:
        if self._sets is None:
            return
        protocol = entrance.protocol.lower()
        wanted = (
            {f"{entrance.address},{protocol}:{entrance.port}"} if entrance.address else {str(entrance.port)}
        )
        end = f"-{entrance.protocol}"
        for name, members in self._sets.items():
            if not wanted.isdisjoint(members) and (entrance.address or name.endswith(end)):
                yield f"in the set {name}: {_COMMENTS.get(name, '')}"


def _members(lines: Sequence[str]) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for line in lines:
        verb, name, *words = line.split()
        found = members.setdefault(name, set())
        if verb == "add":
            found.add(words[0])
    return members
