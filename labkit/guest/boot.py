"""The guest's command line: what is started, with which arguments, for either backend."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.guest.capabilities import SYSTEM_PATH, Linux, namespace_flags
from labkit.guest.clock import REAL_TIME
from labkit.guest.init import Settings
from labkit.guest.keeper import GuestProgram, PrivateFiles
from labkit.guest.places import choose_memory_directory
from labkit.guest.processors import usable_processors
from labkit.guest.wall import wall_here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.guest.clock import Timing

_INIT = Path(__file__).with_name("init.py")
_INIT_ARGUMENTS = ("-I", "-S")
# Self-tests and drivers the lab never uses: without them the packaged system boots in 0.3 s instead of 1.5 s.
_UNUSED_AT_BOOT = "initcall_blacklist=raid6_select_algo,init_zswap"
_VIRTUAL_TIME = "time-travel=inf-cpu"
# No tunl0, gre0, ip6tnl0 in each namespace, no ifb0: it holds what was made in it, with its indexes.
# System calls and page faults are caught by seccomp, not ptrace, where the host and this Linux allow it: at a
# third to a half of the price. An older Linux, Debian's among them, does not know the word and goes on.
_CAUGHT_BY_SECCOMP = "seccomp=auto"
# What it would measure by counting through eight ticks. Only udelay() uses it, and nothing here calls that.
_KNOWN_SPEED = "lpj=8000000"
SWIFT = (_CAUGHT_BY_SECCOMP, _KNOWN_SPEED)
_NO_DEVICES_UNASKED = ("fb_tunnels=none", "ifb.numifbs=0")
_UML_OPTIONS = (
    *("pty.legacy_count=0", "lsm=capability"),
    *(*_NO_DEVICES_UNASKED, _UNUSED_AT_BOOT, *SWIFT),
)


def plan_uml(
    linux: Linux,
    lab: str,
    memory_mb: int,
    private: Path,
    environ: Mapping[str, str],
    *,
    timing: Timing = REAL_TIME,
) -> GuestProgram:
    """Return how to start User-Mode Linux with `memory_mb` MB and the clock of `timing`.

    Behind a wall (`wall.py`) it can write to the folder that it needs while it boots.
    Raises CapabilityError when no directory can hold its memory.
    """
    wall = wall_here(environ)
    memory_directory = (
        Path(wall.memory, private.name) if wall else choose_memory_directory(memory_mb, environ)
    )
    settings = Settings(
        "uml",
        lab,
        linux.modules,
        _private_directories(environ),
        clock=timing.clock,
        guest_limit_s=timing.guest_limit_s,
        host_cpus=usable_processors(),
    )
    argv = (
        linux.binary,
        *("rootfstype=hostfs", "root=/dev/root", "rw", "hostfs=/", f"mem={memory_mb}M"),
        *("con=null", "con0=null,fd:1", "ssl0=fd:{line}", "quiet"),
        *(f"uml_dir={private}/", f"umid={lab}", *_UML_OPTIONS),
        *((_VIRTUAL_TIME,) if timing.clock == "virtual" else ()),
        *(f"init={private}/python", *_library_path()),
        *("--", *_INIT_ARGUMENTS, f"{private}/init.py", f"{private}/settings", "/dev/ttyS0"),
    )
    env = {"TMPDIR": str(memory_directory), "HOME": str(private), "PATH": ":".join(SYSTEM_PATH)}
    files = _plan_files(private, settings)
    program = GuestProgram(argv, env, files, signal.SIGTERM, fixed_address_layout=True, one_processor=True)
    if wall is None:
        return program
    writable = (str(private), str(memory_directory), os.devnull)
    return program._replace(
        files=files._replace(memory=memory_directory), wall=wall._replace(writable=writable)
    )


def plan_namespaces(lab: str, private: Path, environ: Mapping[str, str]) -> GuestProgram:
    """Return how to start the lab's first process in namespaces of its own on the host's kernel."""
    flags = namespace_flags()
    settings = Settings(
        "host",
        lab,
        "",
        _private_directories(environ),
        user_namespace=os.geteuid() != 0,
        host_cpus=usable_processors(),
    )
    argv = (
        f"{private}/python",
        *(*_INIT_ARGUMENTS, f"{private}/init.py", f"{private}/settings", "{line}"),
    )
    env = {"PATH": ":".join(SYSTEM_PATH), **dict(part.split("=", 1) for part in _library_path())}
    files = _plan_files(private, settings)
    return GuestProgram(argv, env, files, signal.SIGKILL, unshare_flags=flags)


def _plan_files(private: Path, settings: Settings) -> PrivateFiles:
    links = {"python": os.path.realpath(sys.executable), "init.py": str(_INIT)}
    return PrivateFiles(private, links, {"settings": settings.to_bytes()})


def _private_directories(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories under /run that programs expect although the guest's /run is empty."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return (runtime,) if runtime.startswith("/run/") else ()


def _library_path() -> tuple[str, ...]:
    """Return LD_LIBRARY_PATH=... when Python is a shared library found through $ORIGIN.

    The loader reads $ORIGIN from /proc, which the guest has not mounted yet when its first program starts.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.rpartition(" ")[2]
        if Path(path).name.startswith("libpython"):
            return (f"LD_LIBRARY_PATH={Path(path).parent}",)
    return ()
