"""YAML text -> plain values and its faults.

Kubernetes reads YAML 1.1 (`on`, `yes` and `0644` are not text), turns it into JSON and refuses keys given
twice; this reader does the same. It works on the parser's events, so it goes no deeper than `MAX_DEPTH`,
follows no alias bomb, and reads on at the next `---` after a syntax error.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 100
MAX_ALIASED_VALUES = 100_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DOCUMENT_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"], True),
    **dict.fromkeys(["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"], False),
}
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d[\d_]*(?=[eE]))(?:[eE][-+]?\d+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAY_BE_NUMBER = frozenset("0123456789+-.")
_TAG = "tag:yaml.org,2002:"


class Fault(NamedTuple):
    """Something wrong in the text itself. Line and column count from 1."""

    line: int
    column: int
    message: str
    todo: str = ""


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet."""

    value: Any
    anchor: str | None
    key: str | None = None
    size: int = 1
    key_lines: dict[str, int] | None = None
    merged: list[dict[str, Any]] | None = None


class _TooMuchError(Exception):
    """The text is built to exhaust its reader: nothing more of it is read."""


def read_yaml(text: str) -> tuple[list[Any], list[Fault]]:
    """Return one value a document, in order (None where a document is empty or broken), and every fault."""
    reader = _Reader()
    try:
        for event, first_line in read_events(text, reader.faults):
            reader.take(event, first_line)
    except _TooMuchError:
        return [], reader.faults
    return reader.documents, reader.faults


def resolve_plain(text: str) -> Any:
    """Return what YAML 1.1 makes of a scalar without quotes: None, a bool, a number, or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _MAY_BE_NUMBER or len(text) > 40:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    infinite = _INFINITE.fullmatch(text)
    if infinite:
        return math.nan if infinite[1] is None else float(f"{infinite[1]}inf")
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if digits[:2] in ("0b", "0x", "0o"):
        return int(text, 0)
    return int(text, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def read_events(text: str, faults: list[Fault]) -> Iterator[tuple[Any, int]]:
    """Yield every event with the number of its part's first line; go on at the next `---` after an error."""
    offset = first_line = 0
    while True:
        part = text[offset:] if offset else text
        try:
            for event in yaml.parse(part, Loader=_LOADER):
                yield event, first_line + 1
        except yaml.reader.ReaderError as error:
            faults.append(_reader_fault(part, error, first_line))
            return
        except yaml.MarkedYAMLError as error:
            faults.append(_syntax_fault(part, error, first_line))
            resumed = _next_document(part, error)
            if resumed is None:
                return
            first_line += part.count("\n", 0, resumed)
            offset += resumed
        else:
            return


def _next_document(part: str, error: yaml.MarkedYAMLError) -> int | None:
    """Return the offset of the first `---` at or after the error's line, or None."""
    mark = error.problem_mark or error.context_mark
    line_start = 0
    for _ in range(mark.line if mark else 0):
        line_start = part.find("\n", line_start) + 1
    match = _DOCUMENT_START.search(part, max(line_start, 1))
    return match.start() if match else None


def _reader_fault(part: str, error: yaml.reader.ReaderError, first_line: int) -> Fault:
    before = part[: error.position]
    line = first_line + before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return Fault(line, column, f"control character #x{int(error.character):02x} in the text", "remove it")


def _no_token_fault(part: str, fault: Fault, first_line: int) -> Fault:
    character = part.split("\n")[fault.line - first_line - 1][fault.column - 1 :][:1]
    if character == "\t":
        return fault._replace(message="a tab indents this line", todo="YAML is indented with spaces only")
    return fault._replace(message=f"a value cannot start with {character}", todo="put it in quotes")


def _syntax_fault(part: str, error: yaml.MarkedYAMLError, first_line: int) -> Fault:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "cannot be read"
    if "unexpected end of stream" in problem and error.context_mark:
        mark, problem = error.context_mark, "this quote is never closed"
    line, column = (first_line + mark.line + 1, mark.column + 1) if mark else (first_line + 1, 1)
    if "cannot start any token" in problem:
        return _no_token_fault(part, Fault(line, column, problem), first_line)
    if "mapping values are not allowed" in problem:
        return Fault(
            line,
            column,
            "a `:` where no key can stand",
            "check the indentation; put text with `: ` in it in quotes",
        )
    if "did not find expected" in problem or "could not find expected" in problem:
        wanted = problem.partition("expected")[2].strip()
        return Fault(
            line, column, f"broken YAML: {wanted} expected", "check indentation, brackets and quotes above"
        )
    return Fault(line, column, f"broken YAML: {problem}")


class _Reader:
    """Builds the documents' values from events, one at a time, without recursion."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.faults: list[Fault] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._line = 1

    def take(self, event: Any, first_line: int) -> None:
        """Take the next event of a part that starts at `first_line`."""
        self._line = first_line
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._take_scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open(_Open({}, event.anchor, key_lines={}), event)
        elif kind is yaml.SequenceStartEvent:
            self._open(_Open([], event.anchor), event)
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self._close(event)
        elif kind is yaml.AliasEvent:
            self._take_alias(event)
        elif kind is yaml.DocumentStartEvent:
            self.documents.append(None)
            self._stack.clear()
            self._anchors.clear()

    def _fault(self, event: Any, message: str, todo: str = "") -> None:
        mark = event.start_mark
        self.faults.append(Fault(self._line + mark.line, mark.column + 1, message, todo))

    def _take_scalar(self, event: Any) -> None:
        stack = self._stack
        if stack:
            frame = stack[-1]
            if frame.key_lines is not None and frame.key is None:
                self._take_key(frame, frame.key_lines, event)
                return
        value = resolve_plain(event.value) if event.implicit[0] else self._tagged(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, event)

    def _tagged(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag in ("!", f"{_TAG}str"):
            return event.value
        if tag in (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool", f"{_TAG}null"):
            return resolve_plain(event.value)
        self._fault(event, f"tag {tag.replace(_TAG, '!!')} means nothing in a manifest", "remove it")
        return event.value

    def _take_key(self, frame: _Open, lines: dict[str, int], event: Any) -> None:
        key = event.value
        line = self._line + event.start_mark.line
        if key in lines and key != "<<":
            self._fault(
                event, f"key {key!r} is given twice, first on line {lines[key]}", "keep one of the two"
            )
        lines.setdefault(key, line)
        frame.key = key
        if event.anchor:
            self._anchors[event.anchor] = (key, 1)

    def _open(self, frame: _Open, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._fault(event, f"nested more than {MAX_DEPTH} levels deep")
            raise _TooMuchError
        if self._stack and self._stack[-1].key_lines is not None and self._stack[-1].key is None:
            self._fault(
                event, "a list or mapping stands where a key should", "quote text that starts with { or ["
            )
            self._stack[-1].key = "?"
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, 0)
        self._stack.append(frame)

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        for merged in frame.merged or ():
            for key, value in merged.items():
                frame.value.setdefault(key, value)
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, frame.size)
        self._put(frame.value, event, frame.size)

    def _take_alias(self, event: Any) -> None:
        value, size = self._anchors.get(event.anchor, (None, 1))
        if event.anchor not in self._anchors:
            self._fault(event, f"alias *{event.anchor} has no anchor &{event.anchor} before it")
        elif not size:
            self._fault(event, f"alias *{event.anchor} stands inside its own anchor")
            value = None
        self._aliased += size
        if self._aliased > MAX_ALIASED_VALUES:
            self._fault(
                event, f"aliases repeat more than {MAX_ALIASED_VALUES} values", "write them out, or fewer"
            )
            raise _TooMuchError
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key_lines is not None and frame.key is None:
            frame.key = str(value)
            return
        self._put(value, event, size)

    def _put(self, value: Any, event: Any, size: int = 1) -> None:
        if not self._stack:
            self.documents[-1] = value
            return
        frame = self._stack[-1]
        frame.size += size
        if frame.key_lines is None:
            frame.value.append(value)
            return
        key, frame.key = frame.key, None
        if key == "<<":
            self._merge(frame, value, event)
        elif key not in frame.value:
            frame.value[key] = value

    def _merge(self, frame: _Open, value: Any, event: Any) -> None:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self._fault(event, "`<<` merges mappings only", "give it an alias of a mapping")
            return
        frame.merged = [*(frame.merged or []), *sources]
