"""Run a command as an unprivileged pod would: `python3 tests/sandbox [--uid N] -- COMMAND ...` (as root).

The command gets: another user, no capability (an empty bounding set too), no_new_privs, Docker's default
seccomp profile through libseccomp (so no user namespace), and a noexec /dev/shm of 64 MB. HOME is a new
folder that goes when the command ends. The exit status is the command's own; 125 where there is no sandbox.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW* flag of clone(2)
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SCMP_ACT_ALLOW, SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ = 0x7FFF0000, 4, 7
EPERM, ENOSYS = 1, 38
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
VSOCK = 40
LAST_FAMILY = 45


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def must(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, what)


def errno_action(number: int) -> int:
    return 0x00050000 | number


def mount_small_shm() -> None:
    must(LIBC.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    must(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make / private")
    options = MS_NOSUID | MS_NODEV | MS_NOEXEC
    must(LIBC.mount(b"shm", b"/dev/shm", b"tmpfs", options, b"size=64m,mode=1777"), "mount /dev/shm")


def drop_rights(uid: int) -> None:
    last_capability = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for capability in range(last_capability + 1):
        must(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "PR_CAPBSET_DROP")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    must(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def load_docker_profile() -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    )
    context = library.seccomp_init(errno_action(EPERM))

    def rule(action: int, name: str, *comparisons: Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # a system call younger than this libseccomp stays forbidden, as in an older Docker
            array = (Comparison * max(1, len(comparisons)))(*comparisons)
            must(library.seccomp_rule_add_array(context, action, number, len(comparisons), array), name)

    text = (Path(__file__).parent / "docker-default.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        for name in line.split("#")[0].split():
            rule(SCMP_ACT_ALLOW, name)
    for family in range(LAST_FAMILY + 1):
        if family != VSOCK:
            rule(SCMP_ACT_ALLOW, "socket", Comparison(0, SCMP_CMP_EQ, family, 0))
    for personality in PERSONALITIES:
        rule(SCMP_ACT_ALLOW, "personality", Comparison(0, SCMP_CMP_EQ, personality, 0))
    rule(SCMP_ACT_ALLOW, "clone", Comparison(0, SCMP_CMP_MASKED_EQ, NAMESPACE_FLAGS, 0))
    rule(errno_action(ENOSYS), "clone3")
    must(library.seccomp_load(ctypes.c_void_p(context)), "seccomp_load")


def main() -> int:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__.splitlines()[0])
    parser.add_argument("--uid", type=int, default=1000)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    home = tempfile.mkdtemp(prefix="sandbox-home-")
    os.chown(home, asked.uid, asked.uid)

    def enter() -> None:
        mount_small_shm()
        drop_rights(asked.uid)
        load_docker_profile()

    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LABKIT", "SUDO"))
    }
    try:
        return subprocess.run(
            asked.command,
            env={**environment, "HOME": home, "USER": "learner", "PATH": PATH},
            preexec_fn=enter,
            check=False,
        ).returncode
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"sandbox: {error} (it needs root and libseccomp2)\n")
        return 125
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
