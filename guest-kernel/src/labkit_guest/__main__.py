# SPDX-License-Identifier: GPL-2.0-only
"""`python -m labkit_guest build | verify`: make the shipped Linux, or prove that it is what its source gives.

build    from the pinned source into this package's folder (in a checkout, before a release)
verify   build again and compare; ends with 0 when the bytes are equal, 1 when they are not, 3 when that
         cannot be told here: another toolchain, or the very source is no longer to be had
"""

from __future__ import annotations

import argparse
import lzma
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from labkit_guest import MANIFEST, PACKED, shipped
from labkit_guest.build import build, config_sha256
from labkit_guest.files import replacing
from labkit_guest.needs import read_toolchain
from labkit_guest.problem import Problem
from labkit_guest.source import PINNED, patch_sha256

if TYPE_CHECKING:
    from labkit_guest.manifest import Source

MOST_PACKED_BYTES = 4_000_000


def make_shipped(source: Path | None, work: Path) -> str:
    """Build the pinned source and put it, packed, with its manifest into this package's folder."""
    built = build(work, source, _Progress())
    if built.manifest.source != PINNED:
        raise Problem(f"only the pinned source is shipped: {PINNED.package} {PINNED.version}")
    if built.dropped:
        raise Problem("the source does not know parts of the configuration", where=", ".join(built.dropped))
    packed = lzma.compress(
        built.path.read_bytes(),
        format=lzma.FORMAT_XZ,
        check=lzma.CHECK_SHA256,
        preset=9 | lzma.PRESET_EXTREME,
    )
    if len(packed) >= MOST_PACKED_BYTES:
        raise Problem(f"{len(packed)} bytes are too many to ship", where=f"{MOST_PACKED_BYTES} at most")
    with replacing(PACKED) as new:
        new.write_bytes(packed)
        new.chmod(0o644)
    built.manifest.write(MANIFEST)
    sizes = f"{built.manifest.size} bytes, packed {len(packed)}"
    return f"{built.manifest.release}: {sizes}, SHA-256 {built.manifest.sha256}"


def verify_shipped(source: Path | None, work: Path) -> str:
    """Build what the manifest says and compare; raise Problem where they differ or cannot be compared."""
    manifest = shipped()
    here_is = (PINNED, config_sha256(), patch_sha256())
    if (manifest.source, manifest.config_sha256, manifest.patch_sha256) != here_is:
        raise Problem("the shipped Linux was built from another source, configuration or patch than is here")
    here = read_toolchain()
    if (here.compiler, here.linker) != (manifest.toolchain.compiler, manifest.toolchain.linker):
        raise Problem(
            "another compiler or linker gives other bytes",
            where=f"here {here.compiler}, {here.linker}",
            todo=f"verify on a system with {manifest.toolchain.compiler}, {manifest.toolchain.linker}",
            missing=True,
        )
    built = build(work, source, _Progress()).manifest
    if built.source != PINNED:
        raise Problem(
            f"that is another source than {_named(PINNED)}", where=_named(built.source), missing=True
        )
    if built.sha256 != manifest.sha256:
        raise Problem(
            "the built bytes are not the shipped ones",
            where=f"SHA-256 {built.sha256}, shipped {manifest.sha256}",
            todo=f"the shipped ones were made with {manifest.toolchain.libc}; here is {here.libc}",
            missing=here != manifest.toolchain,
        )
    return f"the shipped bytes are what {_named(PINNED)} gives: SHA-256 {manifest.sha256}"


class _Progress:
    """Says each new step, and compiling by tens of percent."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, what: str, share: float) -> None:
        text = f"{what} {int(share * 10) * 10} %" if what == "compiling" else what
        if text != self._said:
            self._said = text
            print(text, flush=True)  # noqa: T201 - the progress


def _named(source: Source) -> str:
    return f"{source.package or 'a source'} {source.version} (SHA-256 {source.sha256 or 'unknown'})"


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m labkit_guest", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("build", "verify"))
    parser.add_argument(
        "--source", type=Path, help="the source's tar archive or Debian package, instead of the system's"
    )
    parser.add_argument("--work", type=Path, help="keep source and objects in this folder (2 GB)")
    arguments = parser.parse_args()
    act = make_shipped if arguments.what == "build" else verify_shipped
    base = os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()
    try:
        with tempfile.TemporaryDirectory(
            prefix="labkit-guest-", dir=base, ignore_cleanup_errors=True
        ) as temporary:
            print(act(arguments.source, (arguments.work or Path(temporary)).resolve()))  # noqa: T201 - the answer
    except Problem as problem:
        lines = [
            problem.message,
            *(
                f"  {name}: {text}"
                for name, text in (("where", problem.where), ("to do", problem.todo))
                if text
            ),
        ]
        sys.stderr.write("labkit-guest: " + "\n".join(lines) + "\n")
        return 3 if problem.missing else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
