# SPDX-License-Identifier: GPL-2.0-only
"""The source of Linux: found, checked against its SHA-256, unpacked, changed as labkit.patch says."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labkit_guest.files import replacing, sha256_of
from labkit_guest.manifest import Source
from labkit_guest.problem import Problem

PINNED = Source(
    package="linux-source-7.2",
    version="7.2.11-1~bpo13+1",
    sha256="4d5236387c51a225c59ed8e98e8ef350baf6f38e3f66b2bb66cf347826a80b33",
)
# Where a mirror of Debian has that package, as long as it is its newest backport; SHA-256 tells what came.
POOL_PATH = f"pool/main/l/linux/{PINNED.package}_{PINNED.version}_all.deb"
_TIMEOUT_S = 60
PATCH = Path(__file__).with_name("labkit.patch")
PINNED_ARCHIVE = Path("/usr/src", f"{PINNED.package}.tar.xz")


@dataclass(frozen=True, slots=True)
class Tree:
    """An unpacked source with labkit's changes, and what it was unpacked from."""

    folder: Path
    source: Source


def unpack_source(given: Path | None, work: Path) -> Tree:
    """Return the changed tree of `given` (a tree, a tar archive or a Debian package) or the pinned source.

    What is unpacked stays in `work` and is taken from there the next time; a tree is copied there and itself
    stays as it is. Raises Problem.
    """
    if given is not None and given.is_dir():
        _place(_known_tree(given), work, "")
        folder = _only_folder(work / "source")
        return Tree(folder, Source("", read_version(folder), ""))
    if given is None and _is_placed(work, PINNED.sha256):
        return Tree(_only_folder(work / "source"), PINNED)
    archive = _archive(given, work)
    sha256 = sha256_of(archive)
    if given is None and sha256 != PINNED.sha256:
        raise Problem(
            f"{archive} is not the pinned source",
            where=f"its SHA-256 is {sha256}, not {PINNED.sha256}",
            todo=f"remove it, or give the archive of {PINNED.package} {PINNED.version}",
            missing=True,
        )
    if not _is_placed(work, sha256):
        _place(archive, work, sha256)
    folder = _only_folder(work / "source")
    source = PINNED if sha256 == PINNED.sha256 else Source("", read_version(folder), sha256)
    return Tree(folder, source)


def patch_sha256() -> str:
    """Return the SHA-256 of labkit's changes."""
    return sha256_of(PATCH)


def read_version(tree: Path) -> str:
    """Return the version that a source's Makefile names, such as 6.12.117."""
    values: dict[str, str] = {}
    for line in (tree / "Makefile").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() in {"VERSION", "PATCHLEVEL", "SUBLEVEL"}:
            values.setdefault(name.strip(), value.strip())
    return ".".join(values.get(name, "0") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


def _known_tree(tree: Path) -> Path:
    if not (tree / "arch/um/Kconfig").is_file():
        raise Problem(f"{tree} is not the source of Linux", todo="give a folder that has arch/um in it")
    if (tree / ".config").exists():
        raise Problem(f"something was built in {tree}", todo=f"make -C {tree} ARCH=um mrproper")
    return tree.resolve()


def _archive(given: Path | None, work: Path) -> Path:
    if given is None:
        return PINNED_ARCHIVE if _is_pinned(PINNED_ARCHIVE) else _from_package(_download(work), work)
    if not given.is_file():
        raise Problem(
            f"there is no source at {given}", todo="give a tar archive, a Debian package or a folder"
        )
    return _from_package(given, work) if given.suffix == ".deb" else given


def _is_pinned(archive: Path) -> bool:
    return archive.is_file() and sha256_of(archive) == PINNED.sha256


def _download(work: Path) -> Path:
    """Bring the pinned version's package into `work`: by apt, which needs no rights, or from the pool."""
    package = _download_by_apt(work) or _download_from_pool(work)
    if package is None:
        raise Problem(
            f"the very source is not to be had here: {PINNED.package} {PINNED.version}",
            where=f"apt does not have it, nor have the mirrors that apt knows, as {POOL_PATH}",
            todo=f"give its archive (SHA-256 {PINNED.sha256}), or another version's",
            missing=True,
        )
    return package


def _download_by_apt(work: Path) -> Path | None:
    wanted = f"{PINNED.package}={PINNED.version}"
    try:
        apt = subprocess.run(
            ("apt-get", "download", "-q", wanted), cwd=work, capture_output=True, check=False
        )
    except FileNotFoundError:
        return None  # this system has no apt-get
    packages = sorted(work.glob(f"{PINNED.package}_*.deb"))
    return packages[-1] if apt.returncode == 0 and packages else None


def _download_from_pool(work: Path) -> Path | None:
    """Bring it from the pool of a mirror that apt knows: other releases' packages stand there, too."""
    package = work / f"{PINNED.package}.deb"
    return package if any(_fetched(f"{mirror}{POOL_PATH}", package) for mirror in _mirrors()) else None


def _mirrors() -> list[str]:
    """Return the addresses, each with its / at the end, that apt takes packages from."""
    try:
        asked = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return []  # this system has no apt-get
    return sorted({f"{line.rstrip('/')}/" for line in said.splitlines() if line})


def _fetched(url: str, package: Path) -> bool:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with (
            urlopen(url, timeout=_TIMEOUT_S) as answer,  # noqa: S310  what apt is told to use; the sum tells what came
            replacing(package) as new,
            new.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except (OSError, HTTPException, ValueError):
        return False
    return True


def _from_package(package: Path, work: Path) -> Path:
    """Take the source's archive out of a Debian package."""
    if shutil.which("dpkg-deb") is None:
        raise Problem(
            "a Debian package can only be opened with dpkg-deb",
            todo="give the tar archive in it",
            missing=True,
        )
    with subprocess.Popen(("dpkg-deb", "--fsys-tarfile", package), stdout=subprocess.PIPE) as contents:
        member = ("--strip-components=3", "--wildcards", "./usr/src/linux-source-*.tar.xz")
        taken = subprocess.run(
            ("tar", "-x", "-C", work, *member),
            stdin=contents.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    archives = sorted(work.glob("linux-source-*.tar.xz"))
    if taken.returncode != 0 or not archives:
        raise Problem(f"{package} holds no source of Linux", where=taken.stderr.strip())
    return archives[-1]


def _is_placed(work: Path, sha256: str) -> bool:
    """Return whether `work` holds the source with that SHA-256, changed as labkit.patch now says."""
    record = work / "source.sha256"
    return record.is_file() and record.read_text() == f"{sha256} {patch_sha256()}"


def _place(origin: Path, work: Path, sha256: str) -> None:
    """Unpack or copy a source into `work` and change it there; it has its name only when that is done."""
    target, partial = work / "source", work / "source.partial"
    for folder in (partial, target):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    try:
        (_copy if origin.is_dir() else _unpack)(origin, partial)
        _change(_only_folder(partial), origin)
    except Problem:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(target)
    (work / "source.sha256").write_text(f"{sha256} {patch_sha256()}")


def _copy(tree: Path, target: Path) -> None:
    argv = ("cp", "-a", "--reflink=auto", "--", tree, target)
    copy = subprocess.run(argv, capture_output=True, text=True, check=False)
    if copy.returncode != 0:
        raise Problem(f"{tree} cannot be copied", where=copy.stderr.strip().splitlines()[-1])


def _unpack(archive: Path, target: Path) -> None:
    tar = subprocess.run(("tar", "-xf", archive, "-C", target), capture_output=True, text=True, check=False)
    if tar.returncode != 0:
        raise Problem(f"{archive} cannot be unpacked", where=tar.stderr.strip().splitlines()[-1])
    if not (_only_folder(target) / "arch/um/Kconfig").is_file():
        raise Problem(f"{archive} is not the source of Linux", todo="give an archive that has arch/um in it")


def _change(tree: Path, origin: Path) -> None:
    options = ("--strip=1", "--batch", "--forward", "--no-backup-if-mismatch", "--reject-file=-")
    argv = ("patch", *options, f"--input={PATCH}")
    patch = subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=False)
    if patch.returncode != 0:
        failed = [line for line in patch.stdout.splitlines() if "FAILED" in line or "ignored" in line]
        raise Problem(
            f"labkit's changes do not fit {origin}",
            where="; ".join(failed[:3]),
            todo=f"give a source of Linux {PINNED.version.rpartition('.')[0]}",
        )


def _only_folder(parent: Path) -> Path:
    folders = [entry for entry in parent.iterdir() if entry.is_dir()]
    return folders[0] if len(folders) == 1 else parent
