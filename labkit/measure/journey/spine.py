"""The spine: the kernel's own trace events over all namespaces, in the order in which they happened.

An ftrace instance of our own (Documentation/trace/ftrace.rst, "Instances"): other users of tracing are not
disturbed, and removing it removes all. Events are read as the ring buffer holds them and taken apart by what
each event's `format` file says of its fields, so that the kernel's version does not matter. One processor
makes the ring a total order; in virtual time hundreds of events have one stamp, and position alone tells.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labkit.errors import CapabilityError, TrafficError
from labkit.fabric.syscalls import mount_file_system, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRACING = Path("/sys/kernel/tracing")
INSTANCE = "labkit-journey"
EVENTS = (
    "net/net_dev_start_xmit",
    "net/netif_receive_skb",
    "fib/fib_table_lookup",
    "sock/inet_sock_set_state",
    "skb/kfree_skb",
    "printk/console",
)
BUFFER_KB = 4096
_PAGE_BYTES = 1 << 16  # more than any page of the ring

_FIELD = re.compile(
    r"field:(?P<type>[^;]*?)\b(?P<name>\w+)(?P<array>\[[^\]]*\])?;"
    r"\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);\s*signed:(?P<signed>\d);"
)
_LOST = re.compile(r"^(overrun|dropped events): (\d+)", re.MULTILINE)
_SYMBOL = re.compile(r"\{\s*(\d+),\s*\"([A-Z0-9_]+)\"\s*\}")
_WANTED = frozenset(
    {"name", "skbaddr", "len"}
    | {"tb_id", "err", "iif", "src", "dst", "gw4"}
    | {"oldstate", "newstate", "sport", "dport", "saddr", "daddr"}
    | {"reason", "msg"}
)
_NAMED = ("reason", "oldstate", "newstate")  # fields whose numbers the format gives names
_CODES = {("1", "0"): "B", ("2", "0"): "H", ("4", "0"): "I", ("8", "0"): "Q"} | {
    ("1", "1"): "b",
    ("2", "1"): "h",
    ("4", "1"): "i",
    ("8", "1"): "q",
}


@dataclass(frozen=True, slots=True)
class SpineEvent:
    """One trace event: its name, when (ns, the monotonic clock), and its fields."""

    name: str
    time_ns: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventFormat:
    """How an event lies in the ring: (name, offset, size, kind) of each field in use, names of numbers."""

    name: str
    number: int
    fields: tuple[tuple[str, int, int, str], ...]
    symbols: Mapping[int, str]

    def read(self, data: bytes) -> dict[str, Any]:
        """Return the fields of an event that lies in `data`."""
        values = {name: _field(data, offset, size, kind) for name, offset, size, kind in self.fields}
        for name in _NAMED:
            if name in values:
                values[name] = self.symbols.get(values[name], str(values[name]))
        return values


class Spine:
    """The ftrace instance. A context manager; `read` once, at the end."""

    def __init__(self) -> None:
        """Make it and switch it on. Raises CapabilityError where this Linux has no such events."""
        self._cleaning = contextlib.ExitStack()
        try:
            self._open()
        except BaseException:
            self._cleaning.close()
            raise

    def _open(self) -> None:
        if not (TRACING / "instances").is_dir():
            try:
                mount_file_system("tracefs", TRACING)
            except OSError as error:
                raise CapabilityError(
                    "this Linux has no trace events", where=str(TRACING), todo="labkit guest list"
                ) from error
            self._cleaning.callback(unmount, TRACING)
        self._place = TRACING / "instances" / INSTANCE
        try:
            self._place.mkdir()
        except FileExistsError as error:
            raise TrafficError(
                "another journey is being recorded", where=str(self._place), todo="wait for its end"
            ) from error
        self._cleaning.callback(self._place.rmdir)
        (self._place / "trace_clock").write_text("mono")
        (self._place / "buffer_size_kb").write_text(str(BUFFER_KB))
        self.formats = {one.number: one for one in map(self._format, EVENTS)}
        for event in EVENTS:
            (self._place / "events" / event / "enable").write_text("1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove it. A second call does nothing."""
        self._cleaning.close()

    def stop(self) -> None:
        """Record nothing more."""
        (self._place / "tracing_on").write_text("0")

    def read(self) -> tuple[SpineEvent, ...]:
        """Return what was recorded. Raises TrafficError where the ring had no room for all of it."""
        found: list[SpineEvent] = []
        for processor in sorted((self._place / "per_cpu").iterdir()):
            said = (processor / "stats").read_text()
            stats = {name: int(number) for name, number in _LOST.findall(said)}
            if any(stats.values()):
                raise TrafficError(
                    "the kernel's trace had no room for all events",
                    where=f"{processor.name}: {stats}",
                    todo="record less at once: one connection, without other traffic",
                )
            found += self._read_ring(processor / "trace_pipe_raw")
        found.sort(key=lambda event: event.time_ns)  # stable: one processor's order stays
        return tuple(found)

    def _read_ring(self, path: Path) -> Iterator[SpineEvent]:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with contextlib.suppress(BlockingIOError):
                while page := os.read(descriptor, _PAGE_BYTES):
                    yield from self._read_page(page)
        finally:
            os.close(descriptor)

    def _read_page(self, page: bytes) -> Iterator[SpineEvent]:
        for time_ns, data in read_page(page):
            layout = self.formats.get(struct.unpack_from("=H", data)[0])
            if layout is not None:
                yield SpineEvent(layout.name, time_ns, layout.read(data))

    def _format(self, event: str) -> EventFormat:
        path = self._place / "events" / event / "format"
        try:
            return parse_format(path.read_text())
        except FileNotFoundError as error:
            raise CapabilityError(
                f"this Linux has no trace event {event}", todo="labkit guest list"
            ) from error


def parse_format(text: str) -> EventFormat:
    """Return the layout that an event's `format` file describes."""
    name, number = (re.search(rf"^{key}: (\w+)", text, re.MULTILINE) for key in ("name", "ID"))
    if name is None or number is None:
        raise ValueError("this is no event format")
    fields = tuple(
        (one["name"], int(one["offset"]), int(one["size"]), _how_to_read(one))
        for one in _FIELD.finditer(text)
        if one["name"] in _WANTED
    )
    symbols = {int(number): symbol for number, symbol in _SYMBOL.findall(text)}
    return EventFormat(name[1], int(number[1]), fields, symbols)


def _how_to_read(field: re.Match[str]) -> str:
    """Return the way to a field's value: "data" for text elsewhere in the event, "text", "bytes", a code."""
    if "__data_loc" in field["type"]:
        return "data"
    if field["array"]:
        return "text" if field["type"].strip() == "char" else "bytes"
    return _CODES.get((field["size"], field["signed"]), "bytes")


def read_page(page: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (ns, data) of the events in a page of the ring buffer (include/linux/ring_buffer.h)."""
    time_ns, commit = struct.unpack_from("=QQ", page)
    at, end = 16, 16 + (commit & 0xFFFFF)
    while at + 4 <= end:
        (head,) = struct.unpack_from("=I", page, at)
        kind, delta = head & 0x1F, head >> 5
        at += 4
        if kind == 29:  # padding
            if not delta:
                return
            (length,) = struct.unpack_from("=I", page, at)
            at += length
            continue
        if kind in {30, 31}:  # a long delta, or an absolute time
            (high,) = struct.unpack_from("=I", page, at)
            value = (high << 27) + delta
            time_ns = time_ns + value if kind == 30 else (time_ns & ~((1 << 59) - 1)) | value
            at += 4
            continue
        time_ns += delta
        if kind == 0:
            (length,) = struct.unpack_from("=I", page, at)
            yield time_ns, page[at + 4 : at + length]
            at += (length + 3) & ~3
        else:
            yield time_ns, page[at : at + 4 * kind]
            at += 4 * kind


def _field(data: bytes, offset: int, size: int, kind: str) -> Any:
    if kind == "data":
        (place,) = struct.unpack_from("=I", data, offset)
        start, length = place & 0xFFFF, place >> 16
        return data[start : start + length].rstrip(b"\0").decode(errors="replace")
    whole = data[offset : offset + size]
    if kind == "text":
        return whole.partition(b"\0")[0].decode(errors="replace")
    return whole if kind == "bytes" else struct.unpack("=" + kind, whole)[0]
