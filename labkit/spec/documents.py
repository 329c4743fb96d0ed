"""Files -> documents: plain values that know where they stand.

A place is worked out only when something is to be said about it, so a file without mistakes
is read at full speed.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.errors import Mistake, SpecError
from labkit.spec.text import Text
from labkit.spec.yamlplaces import Path as ValuePath
from labkit.spec.yamlplaces import Position, read_positions
from labkit.spec.yamltext import Fault, read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_START = Position((1, 1), (1, 1))


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands. `order` is the source's rank among those read; line 0 means the whole file."""

    order: int
    line: int
    column: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


@dataclass(slots=True)
class Findings:
    """What the stages find wrong (mistakes) or worth saying (warnings); the only value here that grows.

    `broken` names objects left out for a mistake of their own: nobody shall complain that they are missing.
    """

    broken: set[tuple[str, str]] = field(default_factory=set)  # (kind, name)
    _mistakes: list[tuple[Place, Mistake]] = field(default_factory=list)
    _warnings: list[tuple[Place, str]] = field(default_factory=list)

    def mistake(self, place: Place, message: str, todo: str = "") -> None:
        """Note a mistake, once."""
        entry = (place, Mistake(str(place), message, todo))
        if entry not in self._mistakes:
            self._mistakes.append(entry)

    def warn(self, place: Place, message: str) -> None:
        """Note something the user should hear of although it can be read."""
        self._warnings.append((place, f"{place}: {message}"))

    def raise_mistakes(self) -> None:
        """Raise every mistake found so far.

        Raises:
            SpecError: if there is one; in the order of the sources and of the places in them.

        """
        if self._mistakes:
            raise SpecError([mistake for _, mistake in sorted(self._mistakes, key=lambda entry: entry[0])])

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning, in the order of the sources and of the places in them."""
        return tuple(text for _, text in sorted(self._warnings, key=lambda entry: entry[0]))


class Source:
    """One text that was read: its name, its rank, and (worked out once, when first asked) its positions."""

    def __init__(self, name: str, order: int, text: str) -> None:
        self.name = name
        self.order = order
        self.text = text
        self._positions: list[dict[ValuePath, Position]] | None = None

    def place(self, line: int = 0, column: int = 0) -> Place:
        """Return a place in this source, by default the whole of it."""
        return Place(self.order, line, column, self.name)

    def position(self, document: int, path: ValuePath) -> Position:
        """Return the position of a document's value, or of the nearest value around it that has one."""
        if self._positions is None:
            # JSON is YAML except for surrogate pairs: any other character of the same width will do here.
            self._positions = read_positions(_SURROGATE.sub(r"\\u0041", self.text))
        if document >= len(self._positions):
            return _START
        positions = self._positions[document]
        while path and path not in positions:
            path = path[:-1]
        return positions.get(path, _START)


@dataclass(frozen=True, slots=True)
class Document:
    """A value of a source: a whole document of it, or an item of a `List` (then `path` leads there)."""

    source: Source = field(repr=False)
    number: int
    value: Any
    path: ValuePath = ()

    def place(self, *path: str | int) -> Place:
        """Return where the value at `path` stands, or the nearest value around it."""
        return self.source.place(*self.source.position(self.number, (*self.path, *path)).value)

    def key_place(self, *path: str | int) -> Place:
        """Return where the key of the value at `path` stands."""
        return self.source.place(*self.source.position(self.number, (*self.path, *path)).key)

    def item(self, key: str, index: int, value: Any) -> Document:
        """Return a document of its own for an item of a list in this one."""
        return Document(self.source, self.number, value, (*self.path, key, index))


def read_documents(sources: Sequence[Path | Text], findings: Findings) -> list[Document]:
    """Return every document of every source in order; what cannot be read goes to `findings`.

    A source is a file, `Path("-")` for standard input, or a `Text`. YAML may hold several documents, JSON
    several values one after the other; empty documents are left out, a source without any is a mistake.
    """
    documents: list[Document] = []
    for order, given in enumerate(sources):
        source = _open_source(given, order, findings)
        if source is not None:
            documents += _parse(source, findings)
    return documents


def read_texts(sources: Sequence[Path | Text], findings: Findings) -> tuple[Text, ...]:
    """Return every source as a `Text`, whose file is no longer needed; mistakes go to `findings`."""
    opened = [_open_source(given, order, findings) for order, given in enumerate(sources)]
    return tuple(Text(source.name, source.text) for source in opened if source is not None)


def _open_source(given: Path | Text, order: int, findings: Findings) -> Source | None:
    if isinstance(given, Text):
        return Source(given.name, order, given.text)
    name = "standard input" if str(given) == "-" else str(given)
    try:
        data = sys.stdin.buffer.read() if str(given) == "-" else given.read_bytes()
        return Source(name, order, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        findings.mistake(Place(order, line, column, name), "not UTF-8 text", "save the file as UTF-8")
    except FileNotFoundError:
        findings.mistake(Place(order, 0, 0, name), "no such file", "check the path")
    except IsADirectoryError:
        findings.mistake(Place(order, 0, 0, name), "a folder, not a file", "name the files in it")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        findings.mistake(Place(order, 0, 0, name), f"cannot be read: {reason}")
    return None


def _parse(source: Source, findings: Findings) -> list[Document]:
    values, faults = _read_values(source)
    for line, column, message, todo in faults:
        findings.mistake(source.place(line, column), message, todo)
    documents = [Document(source, number, value) for number, value in enumerate(values) if value is not None]
    if not documents and not faults:
        findings.mistake(source.place(), "nothing in it", "write at least one Kubernetes object")
    return documents


def _read_values(source: Source) -> tuple[list[Any], list[Fault]]:
    text = source.text
    if text.lstrip()[:1] not in ("{", "["):
        return read_yaml(text)
    try:
        return _read_json(text), []
    except json.JSONDecodeError as error:
        values, faults = read_yaml(text)
        if faults and source.name.endswith(".json"):
            return [], [Fault(error.lineno, error.colno, f"broken JSON: {error.msg.lower()}")]
        return values, faults
    except (_KeyTwiceError, RecursionError):
        return read_yaml(text)


class _KeyTwiceError(ValueError):
    """A JSON object has a key twice; the YAML reader will say where."""


def _read_json(text: str) -> list[Any]:
    """Return the JSON values that follow one another in `text`.

    Raises:
        json.JSONDecodeError: if it is no JSON.
        _KeyTwiceError: if an object has a key twice.

    """
    decoder = json.JSONDecoder(object_pairs_hook=_json_object)
    values: list[Any] = []
    end = 0
    while text[end:].strip():
        start = end + len(text[end:]) - len(text[end:].lstrip())
        value, end = decoder.raw_decode(text, start)
        values.append(value)
    return values


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _KeyTwiceError
    return made
