"""System calls that Python 3.11 has no function for: making, entering and naming a network namespace."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 1 << 20
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare_network() -> None:
    """Put the calling thread into a new, empty network namespace. Raises OSError."""
    _check(_libc.unshare(CLONE_NEWNET), "unshare")


def enter_network(descriptor: int) -> None:
    """Put the calling thread into the network namespace that `descriptor` is open on. Raises OSError."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def bind_mount(source: Path, target: Path, *, flags: int = 0) -> None:
    """Make `source` visible at `target` too. Raises OSError."""
    _check(_libc.mount(bytes(source), bytes(target), b"none", MS_BIND | flags, None), str(target))


def share_mounts(directory: Path) -> None:
    """Let mounts below `directory` reach mount namespaces copied from this one. EINVAL: not a mount point."""
    _check(_libc.mount(b"", bytes(directory), b"none", MS_SHARED | MS_REC, None), str(directory))


def unmount(target: Path) -> None:
    """Take the mount at `target` away, now for new users and at last use for present ones. Raises OSError."""
    _check(_libc.umount2(bytes(target), MNT_DETACH | UMOUNT_NOFOLLOW), str(target))


def mount_file_system(kind: str, target: Path) -> None:
    """Mount one of the kernel's own file systems (`tracefs`) at `target`. Raises OSError."""
    _check(_libc.mount(kind.encode(), bytes(target), kind.encode(), 0, None), str(target))
