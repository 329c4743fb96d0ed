"""The journal of a sweep: rows.jsonl, to which each row is added as soon as it is there, and never twice.

A row is one line, written at once and forced to the disk. Whenever the writer is killed, the file holds whole
rows and at most one torn line at its end, which the next writer cuts off: that row is measured again, no
other. One writer at a time has the file (flock).
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Self

from labkit.errors import RequestError
from labkit.measure.schema import decode, encode
from labkit.sweeping.rows import SweepRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labkit.sweeping.cells import SweepCell

ROWS = "rows.jsonl"


class Journal:
    """The rows of one sweep on disk. A context manager: within it nobody else writes there.

    `done` are the identities of the cells that have a row.
    """

    def __init__(self, directory: Path) -> None:
        """Open the journal in `directory`, which is made if it is not there.

        Raises RequestError where that cannot be, where another sweep writes there, or where the file holds
        anything but rows.
        """
        self.path = directory / ROWS
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _refusal(error, self.path) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_torn_line()
            self.rows = list(read_rows(directory))
            self.done = {row.cell for row in self.rows}
        except BlockingIOError as error:
            self.close()
            raise RequestError(
                "another sweep writes its results there",
                where=str(directory),
                todo="wait for its end, or choose another --output",
            ) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_order(self, cells: Sequence[SweepCell]) -> tuple[SweepRow, ...]:
        """Return the rows in the order of `cells`: they came in the order of their ends."""
        order = {cell.identity: at for at, cell in enumerate(cells)}
        return tuple(sorted(self.rows, key=lambda row: order[row.cell]))

    def add(self, row: SweepRow) -> None:
        """Write a row; when this returns it is on the disk. Raises RequestError where it cannot be written.

        A row whose cell has one already is refused: ValueError.
        """
        if row.cell in self.done:
            raise ValueError(f"{row.cell} has a row already")
        line = json.dumps(encode(row), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                os.ftruncate(self._file, size)
                raise RequestError("the disk is full", where=str(self.path), todo="make room, then go on")
            os.fsync(self._file)
        except OSError as error:
            raise _refusal(error, self.path) from error
        self.rows.append(row)
        self.done.add(row.cell)

    def close(self) -> None:
        """Let others write there."""
        os.close(self._file)

    def _cut_torn_line(self) -> None:
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            os.ftruncate(self._file, data.rfind(b"\n") + 1)


def read_rows(directory: Path) -> tuple[SweepRow, ...]:
    """Return the rows of a sweep, in the order in which they were done; a torn last line is left out.

    Raises RequestError for another file, with the line that is wrong.
    """
    path = directory / ROWS
    try:
        whole, _, _torn = path.read_text(encoding="utf-8").rpartition("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RequestError(
            f"{ROWS} cannot be read: {reason}", where=str(path), todo="give the sweep's --output"
        ) from error
    rows = tuple(_read_row(line, f"{path}:{at}") for at, line in enumerate(whole.splitlines(), 1))
    if len({row.cell for row in rows}) < len(rows):
        raise RequestError("a cell has two rows", where=str(path), todo="it was changed: take one away")
    return rows


def _read_row(line: str, place: str) -> SweepRow:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise RequestError(f"{place} is not JSON: {error}", todo="choose another --output") from error
    row: SweepRow = decode(SweepRow, data, place)
    return row


def _refusal(error: OSError, path: Path) -> RequestError:
    return RequestError(
        f"the results cannot be written: {error.strerror}",
        where=str(path),
        todo="choose another --output, or make room there",
    )
