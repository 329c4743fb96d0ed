# SPDX-License-Identifier: GPL-2.0-only
"""Build the lab's Linux from source: the same source and toolchain give the same bytes, in any folder.

What was unpacked and compiled stays in the work folder: a build that was cut off goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit_guest.files import replacing, sha256_of
from labkit_guest.manifest import Manifest
from labkit_guest.needs import DISK_MB, check_needs, read_toolchain
from labkit_guest.problem import Problem
from labkit_guest.source import PINNED, patch_sha256, unpack_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit_guest.source import Tree

    Progress = Callable[[str, float], None]

CONFIG = Path(__file__).with_name("labkit.config")
# What would differ from one machine or minute to the next, made the same everywhere.
_FIXED = {
    "ARCH": "um",
    "KBUILD_BUILD_TIMESTAMP": "Wed Nov 25 12:00:00 UTC 2026",
    "KBUILD_BUILD_VERSION": "1",
    "KBUILD_BUILD_USER": "labkit",
    "KBUILD_BUILD_HOST": "labkit",
    "LC_ALL": "C",
    "LOCALVERSION": "",
    "TZ": "UTC",
}
# Its version would stand in /proc/config.gz, though nothing is compiled with it.
_NO_RUST = ("RUSTC=false",)
_STEPS = 1500  # lines that make says in a build from nothing, about: for the progress alone
_AGAIN_MB = 512  # what the compiled parts take, once the source is unpacked
_LAST_LINES = 4


@dataclass(frozen=True, slots=True)
class Built:
    """A Linux that was built; `dropped` are the configuration's lines that this source does not know."""

    path: Path
    manifest: Manifest
    dropped: tuple[str, ...]


def build(work: Path, source: Path | None, progress: Progress, *, jobs: int | None = None) -> Built:
    """Build in `work` and return the result, which stays there until the next build.

    `source` is a tree, a tar archive or a Debian package; None is the pinned one. `progress` is told what
    is being done and which share of it is done. Raises Problem.
    """
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work):
        progress("looking at this machine", 0.0)
        check_needs(work, least_disk_mb=_AGAIN_MB if (work / "source.sha256").exists() else DISK_MB)
        progress("unpacking the source", 0.0)
        tree = unpack_source(source, work)
        objects = work / "objects"
        progress("configuring", 0.0)
        dropped = _configure(tree, objects)
        _compile(tree, objects, progress, jobs or os.cpu_count() or 1)
        progress("stripping", 1.0)
        path = work / "linux"
        with replacing(path) as new:
            _run(("strip", "-o", str(new), str(objects / "linux")), work, "strip")
            new.chmod(0o755)
        return Built(path, _describe(path, objects, tree), dropped)


def config_sha256() -> str:
    """Return the SHA-256 of the configuration's fragment."""
    return sha256_of(CONFIG)


def work_folder(parent: Path, source: Path | None) -> Path:
    """Return the folder under `parent` for building this source with this configuration and these changes."""
    what = str(source.resolve()) if source is not None else PINNED.sha256
    return parent / hashlib.sha256(f"{what} {config_sha256()} {patch_sha256()}".encode()).hexdigest()[:12]


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem("another build is running", where=str(work), todo="wait for its end") from error
        yield


def _configure(tree: Tree, objects: Path) -> tuple[str, ...]:
    """Write the configuration unless it is there; return the fragment's lines that had no effect."""
    objects.mkdir(exist_ok=True)
    config = objects / ".config"
    wanted = [line for line in CONFIG.read_text().splitlines() if line.startswith("CONFIG_")]
    if not config.exists():
        _make(tree, objects, "allnoconfig", KCONFIG_ALLCONFIG=str(CONFIG))
    text = config.read_text()
    present = set(text.splitlines())
    off = {line.removesuffix("=n") for line in wanted if line.endswith("=n")}
    set_anyway = [name for name in off if f"\n{name}=" in text]
    return (*(line for line in wanted if line not in present and not line.endswith("=n")), *set_anyway)


def _compile(tree: Tree, objects: Path, progress: Progress, jobs: int) -> None:
    argv = ("make", "-C", str(tree.folder), f"O={objects}", *_NO_RUST, f"-j{jobs}", "linux")
    said: list[str] = []
    done = 0
    with subprocess.Popen(
        argv,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as make:
        for line in make.stdout or ():
            said = [*said, line.rstrip()][-30:]
            if line.startswith("  "):
                done += 1
                progress("compiling", min(done / _STEPS, 0.99))
    if make.returncode != 0:
        errors = [line for line in said if "rror" in line] or said
        raise Problem("Linux could not be compiled", where=" / ".join(errors[-_LAST_LINES:]))


def _make(tree: Tree, objects: Path, target: str, **variables: str) -> None:
    argv = ("make", "-C", str(tree.folder), f"O={objects}", *_NO_RUST, target)
    _run(argv, objects, "configuring", {**_environment(), **variables})


def _run(argv: tuple[str, ...], cwd: Path, what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f"{what} failed", where=" / ".join(done.stderr.splitlines()[-_LAST_LINES:]))


def _environment() -> dict[str, str]:
    """Return the build's whole environment: nothing of the user's reaches the compiler."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", **_FIXED}


def _describe(path: Path, objects: Path, tree: Tree) -> Manifest:
    needs = re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())
    major, minor = max((int(major), int(minor)) for major, minor in needs) if needs else (0, 0)
    return Manifest(
        release=(objects / "include/config/kernel.release").read_text().strip(),
        sha256=sha256_of(path),
        size=path.stat().st_size,
        least_glibc=f"{major}.{minor}" if needs else "",
        source=tree.source,
        toolchain=read_toolchain(),
        config_sha256=config_sha256(),
        patch_sha256=patch_sha256(),
    )
