"""Which Linux can run the lab on this machine, and what is missing: asked, not changed."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError
from labkit.guest import syscalls
from labkit.guest.info import current
from labkit.guest.probe import read_lacking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.guest.clock import Clock
    from labkit.guest.info import GuestInfo

PACKAGED_UML = Path("/usr/bin/linux.uml")
PACKAGED_MODULES = Path("/usr/lib/uml/modules")
INSTALL_UML = "sudo apt-get install user-mode-linux"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class Linux:
    """A Linux that can run the lab: `kind` is `inside`, `host` or `uml`; `why` is for people."""

    kind: str
    why: str
    binary: str = ""
    modules: str = ""


def choose_linux(
    request: str | None = None, environ: Mapping[str, str] | None = None, clock: Clock = "real"
) -> Linux:
    """Return the Linux to run the lab in: `request` is auto, host, uml or a path; None asks LABKIT_GUEST.

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


def find_uml(environ: Mapping[str, str]) -> Path | None:
    """Return the User-Mode Linux to use: the user's own build, else the packaged one."""
    data_home = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    own = data_home / "labkit" / "linux"
    for candidate in (own, PACKAGED_UML, Path(shutil.which("linux.uml") or PACKAGED_UML)):
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    return None


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
    return Linux("host", f"the host's own kernel {platform.uname().release} has everything the lab needs")


def _host_or_error() -> Linux:
    missing = missing_on_host()
    if missing:
        raise CapabilityError(
            f"the host's own kernel cannot run the lab: {', '.join(missing)} missing",
            where=f"Linux {platform.uname().release}, uid {os.geteuid()}",
            todo="use User-Mode Linux instead: --guest uml (or leave --guest out)",
        )
    return _host()


def _uml_or_error(environ: Mapping[str, str], missing_on_host: tuple[str, ...]) -> Linux:
    host = (
        f"the host's own kernel lacks {', '.join(missing_on_host)}" if missing_on_host else "it was asked for"
    )
    binary = find_uml(environ)
    if binary is not None:
        return _uml(binary, f"User-Mode Linux ({binary}): {host}")
    if platform.machine() not in ("x86_64", "i686"):
        raise CapabilityError(
            f"no Linux here can run the lab: User-Mode Linux does not exist for {platform.machine()}",
            where=host,
            todo="use GitHub Codespaces, Binder, or a Linux virtual machine whose kernel has ip_vs",
        )
    raise CapabilityError(
        "no Linux here can run the lab: User-Mode Linux (linux.uml) is not installed",
        where=host,
        todo=INSTALL_UML,
    )


def _given_uml(request: str) -> Linux:
    binary = Path(request).expanduser().absolute()
    if not binary.is_file():
        raise CapabilityError(
            f"there is no guest at {request}",
            where="--guest or LABKIT_GUEST",
            todo="give auto, host, uml, or the path of a User-Mode Linux binary",
        )
    if not os.access(binary, os.X_OK):
        raise CapabilityError(
            f"{request} cannot be executed", where="--guest or LABKIT_GUEST", todo=f"chmod +x {request}"
        )
    return _uml(binary, f"User-Mode Linux, as asked for ({binary})")


def _uml(binary: Path, why: str) -> Linux:
    beside = binary.resolve().parent / "modules"
    modules = beside if beside.is_dir() else PACKAGED_MODULES
    return Linux("uml", why, str(binary), str(modules) if modules.is_dir() else "")
