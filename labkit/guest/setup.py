"""Mounts, modules, loopback, hostname and marker: what every guest has before its agent starts."""

from __future__ import annotations

import os
import termios

from labkit.guest import syscalls
from labkit.guest.info import MARKER, GuestInfo, read_running_system
from labkit.guest.syscalls import power_off

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.guest.clock import Clock

__all__ = ["open_serial_line", "power_off", "set_up_lab", "set_up_namespaces", "set_up_uml"]

HOSTNAME = "lab"
_CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
_CONNTRACK_MIN = 131072  # kube-proxy's conntrack.min; the guest's own 4,096 fill up in a dozen measurements
_CONNTRACK_BUCKETS = "/proc/sys/net/netfilter/nf_conntrack_buckets"
# kube-proxy's, too (v1.30, cmd/kube-proxy/app/conntrack.go): a chain that is full refuses new flows long
# before the table is. 256 kB of memory.
_FLOWS_PER_BUCKET = 4
_MODULE_ROOT = "/run/labkit/modules"
_MODPROBE = "/run/labkit/modprobe"
_MODPROBE_SETTING = "/proc/sys/kernel/modprobe"


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
        os.makedirs(directory, exist_ok=True)
        syscalls.mount(type_, directory, type_, 0, options)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        try:
            os.symlink(f"/proc/self/{target}", f"/dev/{name}")
        except FileExistsError:
            continue
    syscalls.let_limit_of_files_rise(_MOST_FILES)
    if modules and os.path.exists(_MODPROBE_SETTING):  # a Linux that loads modules
        _set_up_modprobe(modules)
    try:
        _write(_CONNTRACK_BUCKETS, f"{_CONNTRACK_MIN // _FLOWS_PER_BUCKET}\n")
        _write(_CONNTRACK_MAX, f"{_CONNTRACK_MIN}\n")
    except OSError:
        return  # a Linux without conntrack still runs commands


def set_up_namespaces(*, in_user_namespace: bool) -> None:
    """Give this process, PID 1 of a PID namespace on the host, mounts, network, hostname and IPC."""
    syscalls.unshare(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    )
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    options = "" if in_user_namespace else "mode=755"
    syscalls.mount("run", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    try:
        syscalls.mount("sysfs", "/sys", "sysfs")
    except OSError:
        return  # a container may forbid it; only tools that list /sys/class/net miss it


def set_up_lab(
    kind: str, lab: str, clock: Clock, host_cpus: int, private_directories: tuple[str, ...]
) -> GuestInfo:
    """Do what all backends need, write the marker and return what it says."""
    for directory in ("/run/lock", "/run/netns", *private_directories):
        os.makedirs(directory, exist_ok=True, mode=0o700)
    syscalls.bring_loopback_up()
    syscalls.set_hostname(HOSTNAME)
    info = read_running_system(kind, lab, clock, host_cpus)
    os.makedirs(os.path.dirname(MARKER), exist_ok=True)
    _write(MARKER, info.to_bytes().decode())
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
    """Load modules from `modules`, the parent of the release's directory, and let the kernel do so too."""
    from pathlib import Path

    from labkit.guest.modules import LAB_MODULES, load_modules

    os.makedirs(f"{_MODULE_ROOT}/lib")
    os.symlink(modules, f"{_MODULE_ROOT}/lib/modules")
    _write(_MODPROBE, f'#!/bin/sh\nexec /sbin/modprobe -d {_MODULE_ROOT} "$@"\n')
    os.chmod(_MODPROBE, 0o700)
    _write(_MODPROBE_SETTING, f"{_MODPROBE}\n")
    load_modules(Path(modules, os.uname().release), LAB_MODULES)
    os.environ["MODPROBE_OPTIONS"] = f"-d {_MODULE_ROOT}"  # for the modprobe that a user or iptables calls


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
