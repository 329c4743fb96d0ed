"""What a notebook needs of the host when it is graded: the paths that its wall leaves open."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import labkit
from labkit.guest.wall import Wall, refuse_openings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.guest.capabilities import Linux

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SETTINGS = tuple(
    f"/etc/{name}"
    for name in (
        *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd", "group", "nsswitch.conf", "hosts"),
        *("services", "protocols", "ethertypes", "networks", "localtime", "timezone", "locale.alias"),
        *("iproute2", "alternatives", "bash.bashrc", "profile", "inputrc", "terminfo", "mime.types"),
        *("os-release", "debian_version", "host.conf", "gai.conf", "fonts", "xtables.conf", "nftables.conf"),
    )
)


def plan_wall(
    linux: Linux, submission: Path, temporary: Path, memory: Path, closed: Iterable[Path], *, raised: bool
) -> Wall:
    """Return the wall of a grading session: open are Python, labkit, the system's programs, one submission.

    `temporary` and `memory` are the session's own folders, the only ones it may write to. Raises RequestError
    where a path of `closed` (the course, the home folder) would be open.
    """
    wall = Wall(
        readable=tuple(dict.fromkeys((*_SYSTEM, *_DEVICES, *_SETTINGS, *_python(), *_guest(linux)))),
        writable=(str(temporary), str(memory), os.devnull),
        listable=(str(_package(labkit.__file__).parent),),
        memory=str(memory),
        raised=raised,
    )
    refuse_openings(wall, (*map(str, closed), str(submission)))
    return wall._replace(readable=(*wall.readable, str(submission)))


def _python() -> tuple[str, ...]:
    """Return the folders of this Python: its own, its environment's, and those of its packages."""
    packages = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    libraries = (
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        str(Path(os.path.realpath(sys.executable)).parent),
    )
    return (*libraries, *packages, str(_package(labkit.__file__)))


def _guest(linux: Linux) -> tuple[str, ...]:
    return tuple(filter(None, (linux.binary, linux.modules)))


def _package(file: str | None) -> Path:
    return Path(str(file)).resolve().parent
