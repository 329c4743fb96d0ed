"""A clab file's mappings, looked into with types: what is not as it must be is a mistake with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.spec.wording import dotted, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from labkit.spec.documents import Document, Findings, Place
    from labkit.spec.yamlplaces import Path

_PLAIN_SCALAR = re.compile(r"[^\s,\]}#]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping at `path` of a document. One that is missing, null or no mapping at all has no fields."""

    document: Document
    findings: Findings
    path: Path
    fields: Mapping[str, Any]

    def mistake(self, message: str, todo: str = "", *path: str | int, at_key: bool = False) -> None:
        """Note a mistake at the value at `path` below this block, or at its key."""
        self.findings.mistake(self.place(*path, at_key=at_key), message, todo)

    def place(self, *path: str | int, at_key: bool = False) -> Place:
        """Return where the value at `path` below this block stands, or its key."""
        whole = (*self.path, *path)
        return self.document.key_place(*whole) if at_key else self.document.place(*whole)

    def named(self, *path: str | int) -> str:
        """Return what an error calls the value at `path` below this block."""
        return dotted((*self.path, *path))

    def block(self, *path: str | int) -> Block:
        """Return the mapping at `path` below this one; a value of another kind is a mistake."""
        value: Any = self.fields
        for step in path:
            value = value.get(step) if isinstance(value, dict) else value[step]
        if value is not None and not isinstance(value, dict):
            self.mistake(f"{self.named(*path)} must be a mapping, not {shown(value)}", "", *path)
        return Block(
            self.document, self.findings, (*self.path, *path), value if isinstance(value, dict) else {}
        )

    def blocks(self, key: str) -> dict[str, Block]:
        """Return the mappings in the mapping at `key`, by their keys."""
        outer = self.block(key)
        return {name: outer.block(name) for name in outer.fields}

    def listed(self, key: str) -> Sequence[Any]:
        """Return the list at `key`; a value of another kind is a mistake."""
        value = self.fields.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.mistake(
                f"{self.named(key)} must be a list, not {shown(value)}", "start each entry with a hyphen", key
            )
            return ()
        return value

    def items(self, key: str) -> Iterator[Block]:
        """Yield the mappings in the list at `key`."""
        for at, _ in enumerate(self.listed(key)):
            yield self.block(key, at)

    def text(self, key: str, *, needed: bool = False) -> str:
        """Return the text at `key`, "" where there is none; that is a mistake where it is `needed`."""
        value = self.fields.get(key)
        if value is None or value == "":
            if needed:
                self.mistake(f"{self.named(key)} is missing", "write it")
            return ""
        return self._scalar(value, key)

    def texts(self, key: str) -> list[str]:
        """Return the texts in the list at `key`."""
        return [self._scalar(value, key, at) for at, value in enumerate(self.listed(key))]

    def pairs(self, key: str) -> dict[str, str]:
        """Return a mapping of texts; a number or a word such as `yes` counts as it is written."""
        return {name: self._scalar(value, key, name) for name, value in self.block(key).fields.items()}

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """Return the whole number at `key`, from `least` to `most`."""
        value = self.fields.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self.mistake(f"{self.named(key)} must be a whole number, not {shown(value)}", "", key)
            return default
        if not least <= value <= most:
            self.mistake(f"{self.named(key)} is {value}", f"write {least} to {most}", key)
            return default
        return value

    def refuse_unknown(self, known: Collection[str], what: str) -> None:
        """Note each key that `what` does not have."""
        for key in self.fields:
            if key not in known:
                meant = nearest(key, known)
                todo = f"did you mean {meant}?" if meant else f"there are: {', '.join(known)}"
                self.mistake(f"{what} has no key {key}", todo, key, at_key=True)

    def _scalar(self, value: Any, *path: str | int) -> str:
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        if isinstance(value, dict | list):
            self.mistake(f"{self.named(*path)} must be text, not {shown(value)}", "", *path)
            return ""
        place = self.place(*path)
        written = _PLAIN_SCALAR.match(
            self.document.source.text.splitlines()[place.line - 1], place.column - 1
        )
        return written[0] if written else str(value)
