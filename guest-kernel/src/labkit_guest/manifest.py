# SPDX-License-Identifier: GPL-2.0-only
"""What a built Linux is made of: enough to build the same bytes again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003 - a signature a caller may want to resolve


@dataclass(frozen=True, slots=True)
class Source:
    """A source of Linux: the distribution's package and version, and its archive's SHA-256.

    `package` and `sha256` are empty for an unpacked tree.
    """

    package: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The programs whose version can change the bytes, as they call themselves."""

    compiler: str
    linker: str
    libc: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A built Linux. `release` is what uname says, `config_sha256` the fragment's, sizes are in bytes."""

    release: str
    sha256: str
    size: int
    least_glibc: str
    source: Source
    toolchain: Toolchain
    config_sha256: str

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Return the manifest in a file. Raises OSError, ValueError, TypeError or KeyError."""
        values = json.loads(path.read_text())
        source, toolchain = Source(**values.pop("source")), Toolchain(**values.pop("toolchain"))
        return cls(source=source, toolchain=toolchain, **values)

    def write(self, path: Path) -> None:
        """Write the manifest as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
