"""The wall around a session that runs somebody else's notebook: Landlock, on the host's side.

Root in the guest can mount any folder of the host anew; what the host then lets it do is what this wall
leaves to the process that the guest is. There are two rings. The launcher puts the outer one on itself before
its guest boots: what the course needs is readable, one private folder writable, no TCP. Each guest gets an
inner one: writable is only the folder that it needs while it boots, which is removed when it is up, and
nothing of the launcher can be traced or signalled from within. `seccomp.py` adds what Landlock does not see.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import struct

from labkit.errors import CapabilityError, RequestError
from labkit.guest import seccomp
from labkit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WALL_VARIABLE = "LABKIT_WALL"

# include/uapi/linux/landlock.h: rights, and the version of the interface that brought each.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_LATER_RIGHTS = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_TCP = 0b11  # bind, connect
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_SCOPES = 0b11  # abstract unix sockets, signals
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38


class Wall(Record):
    """Paths with all that is beneath them; those that do not exist are passed over. The rest is closed.

    `listable` shows names only; `memory` is the writable folder in which guests keep their memory. A wall
    that is not `raised` says how a guest is to be furnished, and keeps nothing from it.
    """

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    listable: tuple[str, ...] = ()
    memory: str = ""
    raised: bool = True

    def to_json(self) -> str:
        """Return the wall as JSON, for the environment of the processes behind it."""
        return json.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Wall:
        """Return the wall that `to_json` wrote."""
        readable, writable, listable, memory, raised = json.loads(text)
        return cls(tuple(readable), tuple(writable), tuple(listable), memory, raised)


def landlock_version() -> int:
    """Return the version of this kernel's Landlock, 0 where it has none or has it switched off."""
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, int(version))


def landlock_missing() -> CapabilityError:
    """Return the error for a kernel without Landlock."""
    return CapabilityError(
        "this machine's kernel has no Landlock: nothing would keep a notebook from this user's files",
        where=f"Linux {os.uname().release}",
        todo="grade where Linux is 5.13 or newer and `landlock` stands in /sys/kernel/security/lsm, or, with"
        " nothing on this machine that a notebook may not read, give --unconfined",
    )


def wall_here(environ: Mapping[str, str]) -> Wall | None:
    """Return the wall that this process stands behind, None for none: its environment says it."""
    text = environ.get(WALL_VARIABLE)
    return Wall.from_json(text) if text else None


def refuse_openings(wall: Wall, closed: Iterable[str]) -> None:
    """Raise RequestError where the wall would leave one of the `closed` paths open."""
    opened = [os.path.realpath(path) for path in (*wall.readable, *wall.writable)]
    for path in map(os.path.realpath, closed):
        for root in opened:
            if os.path.commonpath((root, path)) == root:
                raise RequestError(
                    f"{path} cannot be kept from a notebook: it lies in {root}, which every notebook needs",
                    where="the grading session",
                    todo="keep courses apart from Python's and labkit's own folders",
                )


def raise_wall(wall: Wall) -> None:
    """Put the wall around this thread and all that it starts, for good; nothing where it is not `raised`.

    Raises CapabilityError where the kernel has no Landlock.
    """
    if not wall.raised:
        return
    version = landlock_version()
    if version == 0:
        raise landlock_missing()
    handled = _FIRST_RIGHTS | sum(right for since, right in _LATER_RIGHTS if version >= since)
    ruleset = _create_ruleset(version, handled)
    try:
        for paths, rights in (
            (wall.readable, _READING),
            (wall.listable, _READ_DIR),
            (wall.writable, handled & ~_EXECUTE),
        ):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _check(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def confine_guest(wall: Wall) -> None:
    """Put the inner ring around what becomes a guest: the wall, and no system call that gets past it."""
    raise_wall(wall)
    if wall.raised:
        seccomp.deny(seccomp.confined_calls())


def _create_ruleset(version: int, handled: int) -> int:
    attributes = struct.pack("Q", handled)
    if version >= _TCP_SINCE:
        attributes += struct.pack("Q", _TCP)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("Q", _SCOPES)
    size = ctypes.c_size_t(len(attributes))
    return _check(_libc().syscall(_CREATE_RULESET, attributes, size, 0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _ON_FILES
        if not rights:
            return
        rule = struct.pack("=Qi", rights, descriptor)
        _check(_libc().syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "Landlock")
    return int(result)
