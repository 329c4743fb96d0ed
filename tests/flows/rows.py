"""The flow table's rows as values, read from its text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from labkit.proxy.plans import MODES, Mode

SEVERAL_TIMES = ", six times"
FORGOTTEN = ", forgotten"  # by affinity, each time before it is asked
VISITS = 6  # connections from one address, where a row says "six times"


@dataclass(frozen=True, slots=True)
class Row:
    """Who asks what, and all that may come of it; each of `expected` must come, and nothing else.

    `weather` is what node-1 is like beside kube-proxy, "" for an ordinary one (others: `live.WEATHERS`),
    `setup` names kube-proxy's configuration, "" for the ordinary one.
    """

    service: str
    source: str
    destination: str
    protocol: str
    mode: Mode
    expected: frozenset[str]
    why: str = ""
    weather: str = ""
    setup: str = ""

    @property
    def may_be_silent(self) -> bool:
        """Whether hearing nothing may be right."""
        return any(word in {"drop", "forbidden"} or word.endswith("!") for word in self.expected)

    def __str__(self) -> str:
        where = " ".join(word for word in (self.mode, self.setup, self.weather) if word)
        asked = f"{self.service}/{self.protocol} from {self.source} to {self.destination}"
        return f"{where}: {asked} -> {' '.join(sorted(self.expected))}"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _expected(cell: str, protocol: str) -> frozenset[str]:
    # An answer that gets lost on its way back is one that a TCP or SCTP handshake never gets.
    words = (("drop" if word.endswith("!") and protocol != "UDP" else word) for word in cell.split())
    return frozenset(words)


def read_matrix(service: str, protocols: Sequence[str], text: str) -> Iterator[Row]:
    """Yield the rows of a table with one line per source and one column per destination.

    A line that begins with a mode's name says what differs there: a cell of `.` does not.
    """
    lines = [_cells(line) for line in text.strip().splitlines()]
    (_, *destinations, _), *body = lines
    cells: dict[tuple[str, Mode], list[str]] = {}
    source = ""
    for first, *rest in body:
        if first in MODES:
            usual = cells[source, first]
            cells[source, first] = [
                old if new == "." else new for new, old in zip(rest[:-1], usual[:-1], strict=True)
            ] + [rest[-1]]
        else:
            source = first
            cells |= {(source, mode): rest for mode in MODES}
    for (source, mode), (*words, why) in cells.items():
        for destination, cell in zip(destinations, words, strict=True):
            for protocol in protocols:
                expected = _expected(cell, protocol)
                yield Row(service, source, destination, protocol, mode, expected, why)


def read_list(text: str, *, weather: str = "", setup: str = "") -> Iterator[Row]:
    """Yield the rows of a table with one line per question and one column per mode.

    Services and protocols may be several, a cell of `.` is as the one to its left, of `-` not asked.
    """
    for line in text.strip().splitlines()[1:]:
        services, sources, destination, protocols, *cells, why = _cells(line)
        usual = ""
        for mode, cell in zip(MODES, cells, strict=True):
            usual = usual if cell == "." else cell
            if usual == "-":
                continue
            for service in services.split():
                for source in sources.split():
                    for protocol in protocols.split():
                        expected = _expected(usual, protocol)
                        row = Row(service, source, destination, protocol, mode, expected, why)
                        yield replace(row, weather=weather, setup=setup)
