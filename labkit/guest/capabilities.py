"""Which Linux can run the lab on this machine, and what is missing: asked, not changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError
from labkit.guest import syscalls
from labkit.guest.candidates import (
    PACKAGED,
    SHIPPED,
    choose_candidate,
    find_candidate,
    list_candidates,
    modules_of,
)
from labkit.guest.info import current
from labkit.guest.probe import read_lacking
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.guest.candidates import Candidate
    from labkit.guest.clock import Clock
    from labkit.guest.info import GuestInfo

INSTALL_UML = "sudo apt-get install user-mode-linux"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


class Linux(Record):
    """A Linux that can run the lab: `kind` is `inside`, `host` or `uml`; `why` is for people."""

    kind: str
    why: str
    binary: str = ""
    modules: str = ""


def choose_linux(
    request: str | None = None, environ: Mapping[str, str] | None = None, clock: Clock = "real"
) -> Linux:
    """Return the Linux to run the lab in: `request` is auto, host, uml, shipped, packaged or a path.

    None asks LABKIT_GUEST.

    Raises CapabilityError when there is none, or when the requested one cannot be used or cannot have this
    `clock`. Whether a User-Mode Linux can have a virtual one only shows when it has booted.
    """
    environ = os.environ if environ is None else environ
    request = request or environ.get("LABKIT_GUEST") or "auto"
    here = current()
    if here is not None and here.clock == "real" and clock == "virtual":
        raise _real_already(here)
    if here is not None:
        return Linux("inside", f"this process already runs in the lab's Linux ({here.kind} {here.release})")
    if request == "host" and clock == "virtual":
        raise no_virtual_time("the host's own kernel was asked for")
    if request == "host":
        return _host_or_error()
    if request == "uml":
        return _uml_or_error(environ, ())
    if request in {SHIPPED, PACKAGED}:
        return _uml(find_candidate(request, environ), "it was asked for")
    if request != "auto":
        return _given_uml(request)
    missing = missing_on_host() if clock == "real" else ("virtual time",)
    return _uml_or_error(environ, missing) if missing else _host()


def missing_on_host() -> tuple[str, ...]:
    """Return what the host's own kernel lacks to run the lab: tried in namespaces of a child's own."""
    own_network = (namespace_flags() & ~syscalls.CLONE_NEWPID) | syscalls.CLONE_NEWNET
    return read_lacking(own_network | syscalls.CLONE_NEWNS)


def namespace_flags() -> int:
    """Return the unshare flags for the lab's first process on the host: root needs no user namespace."""
    return syscalls.CLONE_NEWPID | (0 if os.geteuid() == 0 else syscalls.CLONE_NEWUSER)


def command_path(path: str | None) -> str:
    """Return PATH with the system's directories added at its end: the lab's tools live in sbin."""
    present = (path or os.defpath).split(":")
    return ":".join([*present, *(directory for directory in SYSTEM_PATH if directory not in present)])


def no_virtual_time(why: str) -> CapabilityError:
    """Return the error for a Linux whose clock cannot be virtual; `why` says how it came to be chosen."""
    return CapabilityError(
        "this Linux has no virtual time",
        where=why,
        todo="use the lab's own guest (labkit guest list; labkit guest build), or leave --virtual-time out",
    )


def _real_already(here: GuestInfo) -> CapabilityError:
    return CapabilityError(
        "this process already runs in a lab's Linux, whose time is real",
        where=f"lab {here.lab}",
        todo="run it from outside, where a guest of its own can be started for it",
    )


def _host() -> Linux:
    return Linux("host", f"the host's own kernel {os.uname().release} has everything the lab needs")


def _host_or_error() -> Linux:
    missing = missing_on_host()
    if missing:
        raise CapabilityError(
            f"the host's own kernel cannot run the lab: {', '.join(missing)} missing",
            where=f"Linux {os.uname().release}, uid {os.geteuid()}",
            todo="use User-Mode Linux instead: --guest uml (or leave --guest out)",
        )
    return _host()


def _uml_or_error(environ: Mapping[str, str], missing_on_host: tuple[str, ...]) -> Linux:
    host = (
        f"the host's own kernel lacks {', '.join(missing_on_host)}" if missing_on_host else "it was asked for"
    )
    candidate = choose_candidate(environ)
    if candidate is not None:
        return _uml(candidate, host)
    if os.uname().machine not in ("x86_64", "i686"):
        raise CapabilityError(
            f"no Linux here can run the lab: User-Mode Linux does not exist for {os.uname().machine}",
            where=host,
            todo="use GitHub Codespaces, Binder, or a Linux virtual machine whose kernel has ip_vs",
        )
    broken = [f"{one.name}: {one.problem}" for one in list_candidates(environ)]
    raise CapabilityError(
        "no Linux here can run the lab: User-Mode Linux (linux.uml) is not installed",
        where="; ".join([host, *broken]),
        todo=INSTALL_UML,
    )


def _given_uml(request: str) -> Linux:
    binary = Path(request).expanduser().absolute()
    if not binary.is_file():
        raise CapabilityError(
            f"there is no guest at {request}",
            where="--guest or LABKIT_GUEST",
            todo="give auto, host, uml, shipped, packaged, or the path of a User-Mode Linux binary",
        )
    if not os.access(binary, os.X_OK):
        raise CapabilityError(
            f"{request} cannot be executed", where="--guest or LABKIT_GUEST", todo=f"chmod +x {request}"
        )
    return Linux("uml", f"User-Mode Linux, as asked for ({binary})", str(binary), modules_of(binary))


def _uml(candidate: Candidate, reason: str) -> Linux:
    whose = candidate.name if candidate.name in {SHIPPED, PACKAGED} else f"own build {candidate.name} of"
    named = " ".join(filter(None, (whose, "User-Mode Linux", candidate.release)))
    return Linux("uml", f"{named} ({candidate.binary}): {reason}", candidate.binary, candidate.modules)
