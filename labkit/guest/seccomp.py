"""System calls that a confined guest's process on the host does without: what Landlock does not look at.

Landlock knows nothing of modes, owners, times and attributes, of sockets other than TCP, and (before Linux
6.2) of truncate(2). User-Mode Linux would make each of these calls on the host when root in the guest asks
its root file system for them. The guest's own processes are not concerned: what they call, the guest answers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from labkit.errors import CapabilityError

MACHINE = "x86_64"
# Numbers of x86-64's table (arch/x86/entry/syscalls/syscall_64.tbl of Linux).
METADATA = {
    "chmod": 90,
    "fchmod": 91,
    "fchmodat": 268,
    "fchmodat2": 452,
    "chown": 92,
    "fchown": 93,
    "lchown": 94,
    "fchownat": 260,
    "utime": 132,
    "utimes": 235,
    "futimesat": 261,
    "utimensat": 280,
    "setxattr": 188,
    "lsetxattr": 189,
    "fsetxattr": 190,
    "setxattrat": 463,
    "removexattr": 197,
    "lremovexattr": 198,
    "fremovexattr": 199,
    "removexattrat": 466,
    "truncate": 76,
}
NETWORK = {"socket": 41, "connect": 42, "bind": 49, "listen": 50, "io_uring_setup": 425}
SYSTEM = {
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "chroot": 161,
    "setns": 308,
    "unshare": 272,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fspick": 433,
    "mount_setattr": 442,
    "init_module": 175,
    "finit_module": 313,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "bpf": 321,
    "reboot": 169,
    "swapon": 167,
    "swapoff": 168,
    "acct": 163,
    "quotactl": 179,
    "perf_event_open": 298,
    "settimeofday": 164,
    "clock_settime": 227,
    "adjtimex": 159,
    "clock_adjtime": 305,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "open_by_handle_at": 304,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "userfaultfd": 323,
}

_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_AT_NUMBER, _AT_ARCHITECTURE = 0, 4
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def plan_filter(denied: frozenset[int]) -> bytes:
    """Return the seccomp program (struct sock_filter) that answers these calls with EPERM.

    Calls of another architecture's table (i386, x32) are all answered so: they would get past the numbers.
    """
    numbers = sorted(denied)
    refuse = len(numbers) + 1  # from the first comparison of a number to the last instruction
    instructions = [
        (_LOAD_WORD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 0, refuse + 2, _AUDIT_ARCH_X86_64),
        (_LOAD_WORD, 0, 0, _AT_NUMBER),
        (_JUMP_AT_LEAST, refuse, 0, _X32_BIT),
        *((_JUMP_EQUAL, refuse - 1 - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


def confined_calls() -> frozenset[int]:
    """Return the numbers of the calls that a confined guest's process does without."""
    return frozenset([*METADATA.values(), *NETWORK.values(), *SYSTEM.values()])


def deny(calls: frozenset[int]) -> None:
    """Have these calls of this thread and all that it starts fail with EPERM, for good.

    Raises CapabilityError on another machine than amd64, OSError where the kernel has no seccomp.
    """
    if os.uname().machine != MACHINE:
        raise CapabilityError(
            f"system calls are filtered by their numbers on {MACHINE} only",
            where=os.uname().machine,
            todo="grade on an amd64 machine",
        )
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(plan_filter(calls))
    program = _Program(len(code) // 8, ctypes.addressof(code))
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "seccomp")
