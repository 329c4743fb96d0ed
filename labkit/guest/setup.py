"""Mounts, modules, loopback, hostname and marker: what every guest has before its agent starts."""

from __future__ import annotations

import contextlib
import os
import resource
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.guest import syscalls
from labkit.guest.info import MARKER, GuestInfo, read_running_system
from labkit.guest.modules import LAB_MODULES, load_modules
from labkit.guest.syscalls import power_off

if TYPE_CHECKING:
    from labkit.guest.clock import Clock

__all__ = ["open_serial_line", "power_off", "set_up_lab", "set_up_namespaces", "set_up_uml"]

HOSTNAME = "lab"
_CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_CONNTRACK_MIN = 131072  # kube-proxy's conntrack.min; the guest's own 4,096 fill up in a dozen measurements
_MODULE_ROOT = Path("/run/labkit/modules")
_MODPROBE = Path("/run/labkit/modprobe")
_MODPROBE_SETTING = Path("/proc/sys/kernel/modprobe")


_MOST_FILES = 524_288  # what a process may raise its limit to: one that serves all pods holds many sockets


def set_up_uml(modules: str) -> None:
    """Mount the file systems of a bare User-Mode Linux and tell it where its modules are."""
    syscalls.mount("proc", "/proc", "proc")
    syscalls.mount("sysfs", "/sys", "sysfs")
    syscalls.mount("run", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    for directory, type_, options in (
        ("/dev/pts", "devpts", "ptmxmode=666,mode=620"),
        ("/dev/shm", "tmpfs", "mode=1777"),  # noqa: S108 - the guest's own, mounted here
    ):
        Path(directory).mkdir(exist_ok=True)
        syscalls.mount(type_, directory, type_, 0, options)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        with contextlib.suppress(FileExistsError):
            Path("/dev", name).symlink_to(f"/proc/self/{target}")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, _MOST_FILES))
    if modules and _MODPROBE_SETTING.exists():  # a Linux that loads modules
        _set_up_modprobe(modules)
        load_modules(Path(modules, os.uname().release), LAB_MODULES)
    with contextlib.suppress(OSError):  # a Linux without conntrack still runs commands
        _CONNTRACK_MAX.write_text(f"{_CONNTRACK_MIN}\n")


def set_up_namespaces(*, in_user_namespace: bool) -> None:
    """Give this process, PID 1 of a PID namespace on the host, mounts, network, hostname and IPC."""
    syscalls.unshare(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    )
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    with contextlib.suppress(
        OSError
    ):  # a container may forbid it; only tools that list /sys/class/net miss it
        syscalls.mount("sysfs", "/sys", "sysfs")
    options = "" if in_user_namespace else "mode=755"
    syscalls.mount("run", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)


def set_up_lab(
    kind: str, lab: str, clock: Clock, host_cpus: int, private_directories: tuple[str, ...]
) -> GuestInfo:
    """Do what all backends need, write the marker and return what it says."""
    for directory in ("/run/lock", "/run/netns", *private_directories):
        Path(directory).mkdir(parents=True, exist_ok=True, mode=0o700)
    syscalls.bring_loopback_up()
    syscalls.set_hostname(HOSTNAME)
    info = read_running_system(kind, lab, clock, host_cpus)
    MARKER.parent.mkdir(parents=True, exist_ok=True)
    MARKER.write_bytes(info.to_json())
    return info


def open_serial_line(path: str) -> int:
    """Open the serial port as a raw, silent line and return its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    _, _, cflag, _, input_speed, output_speed, characters = termios.tcgetattr(fd)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    cflag |= termios.CLOCAL
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, cflag, 0, input_speed, output_speed, characters])
    return fd


def _set_up_modprobe(modules: str) -> None:
    """Name a modprobe to the kernel that looks in `modules`, the parent of the release's directory."""
    (_MODULE_ROOT / "lib").mkdir(parents=True)
    (_MODULE_ROOT / "lib/modules").symlink_to(modules)
    _MODPROBE.write_text(f'#!/bin/sh\nexec /sbin/modprobe -d {_MODULE_ROOT} "$@"\n')
    _MODPROBE.chmod(0o755)
    _MODPROBE_SETTING.write_text(f"{_MODPROBE}\n")
    os.environ["MODPROBE_OPTIONS"] = f"-d {_MODULE_ROOT}"  # for the modprobe that a user or iptables calls
