# SPDX-License-Identifier: GPL-2.0-only
"""Files that are whole or not there, and known to be what they were when they were checked."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, sha256: str) -> bool:
    """Return whether the file has that SHA-256; False when there is none.

    Reading 10 MB takes longer than anything else before a boot. So a stamp beside the file keeps what the
    file system said of it when it was checked: whoever writes to the file changes its ctime.
    """
    try:
        state = _state(path, sha256)
    except OSError:
        return False
    stamp = path.with_name(path.name + ".checked")
    with contextlib.suppress(OSError):
        if stamp.read_text() == state:
            return True
    if sha256_of(path) != sha256:
        return False
    with contextlib.suppress(OSError), replacing(stamp) as new:  # a read-only place is checked each time
        new.write_text(state)
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file's path beside `path` and, if the block ends well, put it in place in one step."""
    import tempfile  # only for writing: it takes time to import

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)  # noqa: PTH105 - text
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - text
        raise


def _state(path: Path, sha256: str) -> str:
    status = path.stat()
    return f"{sha256} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n"
