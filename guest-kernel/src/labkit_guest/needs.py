# SPDX-License-Identifier: GPL-2.0-only
"""What a build needs of this machine, looked at before it starts."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from labkit_guest.manifest import Toolchain
from labkit_guest.problem import Problem

PACKAGES = {
    "gcc": "gcc", "ld": "binutils", "strip": "binutils", "make": "make", "flex": "flex", "bison": "bison",
    "bc": "bc", "tar": "tar", "xz": "xz-utils", "perl": "perl", "patch": "patch",
}  # fmt: skip
C_LIBRARY = "libc6-dev"
DISK_MB = 2048
MEMORY_MB = 700


def check_needs(work: Path, *, least_disk_mb: int = DISK_MB) -> None:
    """Raise Problem that names all that a build in `work` would lack, and the command that installs it."""
    if platform.machine() != "x86_64":
        raise Problem(
            f"User-Mode Linux cannot be built for {platform.machine()}",
            todo="build it on amd64",
            missing=True,
        )
    lacking = {tool: package for tool, package in PACKAGES.items() if shutil.which(tool) is None}
    if "gcc" in lacking or not _compiles(work):
        lacking["a C library to compile for"] = C_LIBRARY
    packages = sorted(set(lacking.values()))
    reasons = [f"not found: {', '.join(lacking)}"] if lacking else []
    disk_mb = shutil.disk_usage(work).free // 2**20
    if disk_mb < least_disk_mb:
        reasons.append(f"{work} has {disk_mb} MB free, a build takes {least_disk_mb}")
    memory_mb = available_memory_mb()
    if memory_mb < MEMORY_MB:
        reasons.append(f"{memory_mb} MB of memory are available, a build takes {MEMORY_MB}")
    if reasons:
        todo = (
            f"sudo apt-get install {' '.join(packages)}" if packages else "make room, or set XDG_CACHE_HOME"
        )
        raise Problem("Linux cannot be built here", where="; ".join(reasons), todo=todo, missing=True)


def available_memory_mb() -> int:
    """Return how much memory programs can still take, in MB."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return (
        int(match[1]) // 1024 if match else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    )


def read_toolchain() -> Toolchain:
    """Return what compiler, linker and C library call themselves."""
    return Toolchain(*(_first_line(tool, "--version") for tool in ("gcc", "ld", "ldd")))


def _compiles(work: Path) -> bool:
    program = b'#include <stdio.h>\nint main(void) { return puts(""); }\n'
    probe = work / "probe"
    argv = ("gcc", "-x", "c", "-", "-o", str(probe))
    compiled = subprocess.run(argv, input=program, capture_output=True, check=False).returncode == 0
    probe.unlink(missing_ok=True)
    return compiled


def _first_line(*argv: str) -> str:
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.splitlines()[0]
