"""YAML text -> the position of every value in it, by its path: read when one is to be spoken of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from labkit.spec.yamltext import MAX_DEPTH, read_events

if TYPE_CHECKING:
    from labkit.spec.yamltext import Fault

Path = tuple[str | int, ...]


class Position(NamedTuple):
    """Where a value stands and where its key does. Lines and columns count from 1."""

    value: tuple[int, int]
    key: tuple[int, int]


def read_positions(text: str) -> list[dict[Path, Position]]:
    """Return, for each document that `read_yaml` returns, the position of every value by its path."""
    documents: list[dict[Path, Position]] = []
    faults: list[Fault] = []  # read_yaml has told of them
    walk = _Walk()
    for event, first_line in read_events(text, faults):
        if type(event) is yaml.DocumentStartEvent:
            walk = _Walk()
            documents.append(walk.positions)
        walk.take(event, first_line)
        if len(walk.frames) > MAX_DEPTH:
            break
    return documents


class _Walk:
    """Follows the events of one document and notes where each path's key and value start."""

    def __init__(self) -> None:
        self.positions: dict[Path, Position] = {}
        self.frames: list[tuple[Path, bool]] = []
        self._next: list[str | int | None] = []
        self._key_place = (1, 1)

    def take(self, event: Any, first_line: int) -> None:
        """Take the next event of a part that starts at `first_line`."""
        if isinstance(event, yaml.CollectionEndEvent):
            self.frames.pop()
            self._next.pop()
            self._advance()
        elif isinstance(event, yaml.NodeEvent):
            mark: Any = event.start_mark
            place = (first_line + mark.line, mark.column + 1)
            if self.frames and self.frames[-1][1] and self._next[-1] is None:
                self._next[-1] = getattr(event, "value", "?")
                self._key_place = place
                if isinstance(event, yaml.CollectionStartEvent):  # as the reader does, a value without a key
                    self._note(event, place)
            else:
                self._note(event, place)

    def _note(self, event: Any, place: tuple[int, int]) -> None:
        path: Path = ()
        key_place = place
        if self.frames:
            step = self._next[-1]
            path = (*self.frames[-1][0], step if step is not None else "?")
            key_place = self._key_place if self.frames[-1][1] else place
        self.positions.setdefault(path, Position(place, key_place))
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self.frames.append((path, is_mapping))
            self._next.append(None if is_mapping else 0)
        else:
            self._advance()

    def _advance(self) -> None:
        if self.frames:
            step = self._next[-1]
            self._next[-1] = None if self.frames[-1][1] else int(step or 0) + 1
