"""Settings under /proc/sys, as the calling thread's network namespace has them: no process, no parsing."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.errors import BuildError, CapabilityError


def read_sysctl(path: str) -> str:
    """Return a setting of the network namespace that the calling thread is in."""
    try:
        return _sysctl_file(path).read_text().strip()
    except FileNotFoundError as error:
        raise _unknown_sysctl(path) from error


def write_sysctl(path: str, value: int | str) -> None:
    """Change a setting of the network namespace that the calling thread is in."""
    try:
        # os.open: nothing is created, truncated or looked up twice; a lab writes hundreds of these.
        descriptor = os.open(_sysctl_file(path), os.O_WRONLY)
    except FileNotFoundError as error:
        raise _unknown_sysctl(path) from error
    try:
        os.write(descriptor, str(value).encode())
    except OSError as error:
        raise BuildError(f"the setting {path} does not take the value {value!r}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _sysctl_file(path: str) -> Path:
    return Path("/proc/sys", path if "/" in path else path.replace(".", "/"))


def _unknown_sysctl(path: str) -> CapabilityError:
    module = "br_netfilter" if "bridge-nf" in path else "ip_vs" if "vs" in path.split("/") else ""
    return CapabilityError(
        f"this Linux has no setting {path}",
        todo=f"load its module: modprobe {module}" if module else "labkit doctor",
    )
