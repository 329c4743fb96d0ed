# SPDX-License-Identifier: GPL-2.0-only
"""The lab's Linux as one file: a User-Mode Linux for any amd64 system with a recent glibc.

`kernel_path()` returns it, unpacked and checked. It needs no root, no compiler and no modules.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labkit_guest.files import is_intact, replacing
from labkit_guest.manifest import Manifest
from labkit_guest.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Manifest", "Problem", "kernel_path", "shipped"]
__version__ = "0.3.1"

PACKED = Path(__file__).with_name("linux-labkit.xz")
MANIFEST = Path(__file__).with_name("manifest.json")
NAME = "linux-labkit"


def shipped() -> Manifest:
    """Return what is known of the shipped file. Raises Problem when this package was installed without it."""
    if not PACKED.is_file():
        raise Problem("this labkit-guest was installed without its Linux", where=str(PACKED.parent))
    return Manifest.read(MANIFEST)


def kernel_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the shipped Linux, unpacked into the user's cache on first use.

    Its SHA-256 is checked; a damaged copy is replaced. Several first uses at once do not meet: each writes
    a file of its own and puts it in place in one step. Where no cache can be written, a folder of this user's
    under TMPDIR takes it. Raises Problem when no place takes it, or the package itself is damaged.
    """
    manifest = shipped()
    reasons = []
    for folder in _folders(os.environ if environ is None else environ, manifest):
        path = folder / NAME
        try:
            if not (_is_ours(folder) and is_intact(path, manifest.sha256)):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not _is_ours(folder):
                    reasons.append(f"{folder} belongs to somebody else")
                    continue
                _unpack(path, manifest)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
            continue
        if os.access(path, os.X_OK):
            return path
        reasons.append(f"{folder} is mounted noexec")
    raise Problem(
        "no folder can hold the lab's Linux",
        where="; ".join(reasons),
        todo="set XDG_CACHE_HOME to a folder with 10 MB free that is not mounted noexec",
    )


def _folders(environ: Mapping[str, str], manifest: Manifest) -> Iterator[Path]:
    version = f"{manifest.release}-{manifest.sha256[:12]}"
    cache = environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield (Path(cache) if cache else Path.home() / ".cache") / "labkit" / "guest" / version
    import tempfile  # what is only needed where there is no cache takes time to import

    yield Path(tempfile.gettempdir()) / f"labkit-guest-{os.getuid()}" / version


def _is_ours(folder: Path) -> bool:
    """Return whether nobody else may have put something into the folder or exchanged it."""
    try:
        return all(place.stat().st_uid in (os.getuid(), 0) for place in (folder, folder.parent))
    except FileNotFoundError:
        return False


def _unpack(path: Path, manifest: Manifest) -> None:
    import hashlib
    import lzma

    try:
        data = lzma.decompress(PACKED.read_bytes())
    except (lzma.LZMAError, EOFError):
        data = b""
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise Problem(
            "the shipped Linux is damaged",
            where=str(PACKED),
            todo=f"{sys.executable} -m pip install --force-reinstall --no-deps labkit-guest",
        )
    with replacing(path) as new:
        new.write_bytes(data)
        new.chmod(0o700)
    is_intact(path, manifest.sha256)
