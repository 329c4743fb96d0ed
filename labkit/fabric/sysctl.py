"""Settings under /proc/sys, as the calling thread's network namespace has them: no process, no parsing."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.errors import BuildError, CapabilityError, LabError


def read_sysctl(path: str) -> str:
    """Return a setting of the network namespace that the calling thread is in.

    Raises CapabilityError where this Linux does not know it, BuildError where it cannot be read.
    """
    try:
        return _sysctl_file(path).read_text().strip()
    except OSError as error:
        raise _failure(path, "cannot be read", error) from error


def write_sysctl(path: str, value: int | str) -> None:
    """Change a setting of the calling thread's network namespace; errors as for `read_sysctl`."""
    try:
        # os.open: nothing is created, truncated or looked up twice; a lab writes hundreds of these.
        descriptor = os.open(_sysctl_file(path), os.O_WRONLY)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failure(path, f"does not take the value {value!r}", error) from error


def _sysctl_file(path: str) -> Path:
    return Path("/proc/sys", path if "/" in path else path.replace(".", "/"))


def _failure(path: str, what: str, error: OSError) -> LabError:
    if not isinstance(error, FileNotFoundError):
        return BuildError(
            f"the setting {path} {what}: {error.strerror}", todo="check the value, the rights and ulimit -n"
        )
    parts = _sysctl_file(path).parts
    module = "br_netfilter" if "bridge" in parts else "ip_vs" if "vs" in parts else ""
    return CapabilityError(
        f"this Linux has no setting {path}",
        todo=f"load its module: modprobe {module}" if module else "check its spelling: sysctl -a",
    )
