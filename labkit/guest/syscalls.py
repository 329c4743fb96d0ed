"""System calls that Python does not offer, through the C library: a process costs 13-50 ms in the guest."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_NOSUID = 2
MS_NODEV = 4

_PR_SET_TIMERSLACK = 29
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_RLIMIT_NOFILE = 7
_ADDR_NO_RANDOMIZE = 0x0040000
_REBOOT_POWER_OFF = 0x4321FEDC
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_AF_INET, _SOCK_DGRAM = 2, 2

_SYS_FINIT_MODULE = {"x86_64": 313, "i686": 350, "aarch64": 273}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, type_: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system: the system call of that name."""
    arguments = (source.encode(), target.encode(), type_.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*arguments), target)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: the system call of that name."""
    _check(_libc.unshare(flags), "unshare")


def let_limit_of_files_rise(most: int) -> None:
    """Let this process and those it starts raise their limit of open files to `most`: setrlimit(2)."""
    limits = (ctypes.c_ulong * 2)()
    _check(_libc.getrlimit(_RLIMIT_NOFILE, limits), "getrlimit")
    limits[1] = most
    _check(_libc.setrlimit(_RLIMIT_NOFILE, limits), "setrlimit")


def current_processor() -> int:
    """Return the number of the processor that this process runs on: sched_getcpu(3)."""
    number = _libc.sched_getcpu()
    _check(number, "sched_getcpu")
    return int(number)


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    _check(_libc.sethostname(name.encode(), len(name.encode())), name)


def set_parent_death_signal(signal_number: int) -> None:
    """Ask for a signal when the thread that created this process ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "PR_SET_PDEATHSIG")


def set_timer_slack(slack_ns: int) -> None:
    """Set how late this process and the children it starts from now on may be woken from a sleep."""
    _check(_libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns), 0, 0, 0), "PR_SET_TIMERSLACK")


def become_subreaper() -> None:
    """Become the parent of all orphaned descendants."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def fix_address_layout() -> bool:
    """Switch address space randomisation off for what is executed next; False where forbidden.

    User-Mode Linux else pads its memory by the random gap before its heap (up to 1 GB of page structures).
    """
    return int(_libc.personality(ctypes.c_ulong(_ADDR_NO_RANDOMIZE))) >= 0


def power_off() -> None:
    """Halt this Linux at once."""
    _check(_libc.reboot(ctypes.c_int(_REBOOT_POWER_OFF - 2**32)), "reboot")


def load_module(fd: int) -> None:
    """finit_module(2): load the module in an open file."""
    _check(_libc.syscall(_SYS_FINIT_MODULE[os.uname().machine], fd, b"", 0), "finit_module")


def bring_loopback_up() -> None:
    """Set lo up. IPVS refuses real servers in a network namespace whose lo was never up."""
    control = _libc.socket(_AF_INET, _SOCK_DGRAM | os.O_CLOEXEC, 0)
    _check(control, "socket")
    try:
        request = struct.pack("16sh14x", b"lo", 0)
        (_, flags) = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    finally:
        os.close(control)
