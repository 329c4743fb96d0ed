"""Run a command as an unprivileged pod would: `python3 tests/sandbox [OPTIONS] -- COMMAND ...` (as root).

The command gets: another user, no capability (an empty bounding set too), no_new_privs, Docker's default
seccomp profile through libseccomp (so no user namespace), and a noexec /dev/shm of 64 MB. HOME is a new
folder that goes when the command ends, unless `--home` names one that stays. `--read-only` leaves nothing
else to write to, `--memory` bounds it as a container's limit does. The exit status is the command's own; 125
where there is no sandbox.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox.memory import bounded_memory

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW* flag of clone(2)
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
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


class MountAttributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def must(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, what)


def errno_action(number: int) -> int:
    return 0x00050000 | number


def own_mounts() -> None:
    must(LIBC.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    must(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make / private")


def mount_read_only(home: str) -> None:
    """Leave nothing to write to but HOME and what /proc has of the process itself."""
    must(LIBC.mount(home.encode(), home.encode(), None, MS_BIND, None), f"bind {home}")
    set_attributes("/", MountAttributes(set=MOUNT_ATTR_RDONLY))
    for place in (home, "/proc"):
        set_attributes(place, MountAttributes(clear=MOUNT_ATTR_RDONLY))


def set_attributes(place: str, attributes: MountAttributes) -> None:
    arguments = (place.encode(), AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    must(LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, *arguments), f"mount_setattr {place}")


def mount_small_shm() -> None:
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


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__.splitlines()[0])
    parser.add_argument("--uid", type=int, default=1000)
    parser.add_argument("--home", help="an existing folder that is HOME, and stays")
    parser.add_argument(
        "--read-only", action="store_true", help="nothing but HOME and /dev/shm can be written"
    )
    parser.add_argument("--memory", type=int, metavar="MB", help="how much memory the command may use in all")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main() -> int:
    asked = read_arguments()
    home = asked.home or tempfile.mkdtemp(prefix="sandbox-home-")
    os.chown(home, asked.uid, asked.uid)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LABKIT", "SUDO"))
    }
    try:
        with bounded_memory(asked.memory) if asked.memory else nullcontext() as group:

            def enter() -> None:
                if group is not None:
                    group.write_text(str(os.getpid()))
                own_mounts()
                if asked.read_only:
                    mount_read_only(home)
                mount_small_shm()
                drop_rights(asked.uid)
                load_docker_profile()

            status = subprocess.run(
                asked.command,
                env={**environment, "HOME": home, "USER": "learner", "PATH": PATH},
                preexec_fn=enter,
                check=False,
            ).returncode
            return status if status >= 0 else 128 - status
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"sandbox: {error} (it needs root and libseccomp2)\n")
        return 125
    finally:
        if not asked.home:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
