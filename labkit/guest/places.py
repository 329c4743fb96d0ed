"""Where a guest keeps its memory and its few files while it boots."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_SAFE_PATH = re.compile(r"/[A-Za-z0-9_./+-]{0,60}")
_NAME = re.compile(r"labkit-(?P<uid>\d+)-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]+")


def memory_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where guest memory may live, best first: memory file systems before disks."""
    given = (
        "/dev/shm",  # noqa: S108 - UML's memory file is unlinked as soon as it is open
        environ.get("XDG_RUNTIME_DIR", ""),
        environ.get("TMPDIR", ""),
        "/tmp",  # noqa: S108
        "/var/tmp",  # noqa: S108
        environ.get("XDG_CACHE_HOME", "") or str(Path.home() / ".cache"),
    )
    return tuple(dict.fromkeys(Path(path) for path in given if path))


def choose_memory_directory(memory_mb: int, environ: Mapping[str, str]) -> Path:
    """Return the first directory with room for the guest's memory that may be mapped executable.

    Raises CapabilityError that says what is wrong with each.
    """
    reasons = []
    for directory in memory_directories(environ):
        reason = unfit_for_memory(directory, memory_mb)
        if not reason:
            return directory
        reasons.append(f"{directory} {reason}")
    raise CapabilityError(
        f"no directory can hold the guest's {memory_mb} MB of memory",
        where="; ".join(reasons),
        todo=f"set TMPDIR to a directory with {memory_mb} MB free that is not mounted noexec",
    )


def unfit_for_memory(directory: Path, memory_mb: int) -> str:
    """Return why the directory cannot hold guest memory, or an empty string."""
    try:
        status = os.statvfs(directory)
        free_mb = status.f_bavail * status.f_frsize // 2**20
        if free_mb < memory_mb:
            return f"has only {free_mb} MB free"
        with _nameless_file(directory) as probe:
            probe.truncate(mmap.PAGESIZE)
            mmap.mmap(probe.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    except PermissionError as error:
        return "is mounted noexec" if error.filename is None else "cannot be written"
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    return ""


def _nameless_file(directory: Path) -> BinaryIO:
    """Return a new file that goes when it is closed: `tempfile` takes long to import."""
    path = directory / f".labkit-{os.getpid()}-{os.urandom(3).hex()}"
    file = open(path, "x+b", buffering=0)  # noqa: PTH123, SIM115 - the caller closes it
    path.unlink()
    return file


def name_private_directory(environ: Mapping[str, str]) -> Path:
    """Return a path for the directory that the guest needs while it boots; its name says whose it is.

    The keeper makes it, so that it is never without somebody who removes it. The path goes on the guest's
    command line and names a socket: short, and of plain characters.
    """
    owner = f"{os.getuid()}-{_pid_namespace()}-{os.getpid()}-{_start_time(os.getpid())}"
    name = f"labkit-{owner}-{os.urandom(3).hex()}"
    for base in _private_bases(environ):
        if os.access(base, os.W_OK | os.X_OK):
            return base / name
    raise CapabilityError(
        "no directory for the guest's temporary files",
        where=", ".join(map(str, _private_bases(environ))) or "TMPDIR",
        todo="make /tmp writable, or set TMPDIR to a directory with a short path of plain characters",
    )


def sweep_dead_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Remove the private directories of this user's launchers that are gone; return them."""
    dead = []
    for base in _private_bases(environ):
        for directory in _listed(base):
            owner = _NAME.fullmatch(directory.name)
            if (
                owner is None
                or int(owner["uid"]) != os.getuid()
                or int(owner["namespace"]) != _pid_namespace()
            ):
                continue
            if _start_time(int(owner["pid"])) != owner["start"]:
                import shutil

                shutil.rmtree(directory, ignore_errors=True)
                dead.append(directory)
    return tuple(dead)


def _private_bases(environ: Mapping[str, str]) -> tuple[Path, ...]:
    given = (environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), "/tmp", "/var/tmp")  # noqa: S108
    return tuple(dict.fromkeys(Path(path) for path in given if _SAFE_PATH.fullmatch(path)))


def _listed(base: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from base.glob("labkit-*-*-*-*-*")


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - the namespace, not its link


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return text.rsplit(")", 1)[1].split()[19]
