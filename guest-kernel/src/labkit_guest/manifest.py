# SPDX-License-Identifier: GPL-2.0-only
"""What a built Linux is made of: enough to build the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - a signature a caller may want to resolve
from typing import NamedTuple


class Source(NamedTuple):
    """A source of Linux: the distribution's package and version, and its archive's SHA-256.

    `package` and `sha256` are empty for an unpacked tree.
    """

    package: str
    version: str
    sha256: str


class Toolchain(NamedTuple):
    """The programs whose version can change the bytes, as they call themselves."""

    compiler: str
    linker: str
    libc: str


class Manifest(NamedTuple):
    """A built Linux.

    `release` is what uname says, `size` is in bytes; `config_sha256` is of labkit.config, `patch_sha256` of
    labkit.patch.
    """

    release: str
    sha256: str
    size: int
    least_glibc: str
    source: Source
    toolchain: Toolchain
    config_sha256: str
    patch_sha256: str

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Return the manifest in a file. Raises OSError, ValueError, TypeError or KeyError."""
        values = json.loads(path.read_text())
        source, toolchain = Source(**values.pop("source")), Toolchain(**values.pop("toolchain"))
        return cls(source=source, toolchain=toolchain, **values)

    def write(self, path: Path) -> None:
        """Write the manifest as JSON."""
        parts = {"source": self.source._asdict(), "toolchain": self.toolchain._asdict()}
        path.write_text(json.dumps({**self._asdict(), **parts}, indent=2) + "\n")
