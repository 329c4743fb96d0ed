"""The guest's side of a grading session: what a notebook finds there, and how many processes it may start.

    python -m labkit.session.furnished

Nothing on the host can be written from this guest. So that a notebook can write all the same, its folder is
covered by a layer in memory, and so are the home folder and /tmp; what the wall leaves readable in those two
shows through. None of this keeps anything from root in the guest: the wall outside does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from typing import NoReturn

from labkit.guest import syscalls
from labkit.guest.wall import WALL_VARIABLE, wall_here
from labkit.session.bounds import MOST_DISK_MB, MOST_PROCESSES, TOO_MANY_PROCESSES

_DISK = Path("/run/labkit/disk")
_CGROUPS = Path("/sys/fs/cgroup")
_NOTEBOOK = _CGROUPS / "notebook"
_TEMPORARY = "/tmp"  # noqa: S108 - it is covered here by one of the guest's own


def furnish(folder: str, home: str, shown: tuple[str, ...]) -> None:
    """Cover `home`, /tmp and the notebook's `folder` by memory, `shown` paths left visible."""
    _DISK.mkdir(parents=True)
    syscalls.mount("disk", str(_DISK), "tmpfs", 0, f"size={MOST_DISK_MB}m")
    with contextlib.ExitStack() as files:
        kept = {path: _hold(path, files) for path in (folder, *shown) if Path(path).exists()}
        for covered, mode in ((_TEMPORARY, 0o1777), (home, 0o700)):
            if covered != "/" and Path(covered).is_dir() and covered not in kept:
                _cover(covered, mode, kept)
    _overlay(folder)


def bound_processes() -> None:
    """Make the group in which the notebook's processes are counted."""
    syscalls.mount("cgroup2", str(_CGROUPS), "cgroup2")
    (_CGROUPS / "cgroup.subtree_control").write_text("+pids")
    _NOTEBOOK.mkdir()
    (_NOTEBOOK / "pids.max").write_text(str(MOST_PROCESSES))


def _hold(path: str, files: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_PATH)
    files.callback(os.close, descriptor)
    return descriptor


def _cover(folder: str, mode: int, kept: dict[str, int]) -> None:
    memory = _DISK / folder.strip("/").replace("/", "-")
    memory.mkdir()
    memory.chmod(mode)
    syscalls.mount(str(memory), folder, "none", syscalls.MS_BIND)
    for path in sorted(path for path in kept if path.startswith(f"{folder}/")):
        target = Path(path)
        if Path(f"/proc/self/fd/{kept[path]}").is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        syscalls.mount(f"/proc/self/fd/{kept[path]}", path, "none", syscalls.MS_BIND)


def _overlay(folder: str) -> None:
    upper, work = _DISK / "upper", _DISK / "work"
    upper.mkdir()
    work.mkdir()
    syscalls.mount("folder", folder, "overlay", 0, f"lowerdir={folder},upperdir={upper},workdir={work}")
    os.chdir(folder)


def watch(kernel: int) -> NoReturn:
    """Wait for the kernel's end and end as it does; end it when it starts more processes than it may."""
    events = os.open(_NOTEBOOK / "pids.events", os.O_RDONLY)
    os.read(events, 4096)  # what is polled for is a change since then
    end = os.pidfd_open(kernel)
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    poll.register(end, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    if end not in ready:
        (_NOTEBOOK / "cgroup.kill").write_text("1")
        os._exit(TOO_MANY_PROCESSES)
    code = os.waitstatus_to_exitcode(os.waitpid(kernel, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def main() -> None:
    """Furnish the guest, then run ipykernel in it within its bounds."""
    wall = wall_here(os.environ)
    shown = (*wall.readable, *wall.listable) if wall else ()
    furnish(str(Path.cwd()), os.environ.get("HOME", "/"), shown)
    os.environ.pop(WALL_VARIABLE, None)
    bound_processes()
    kernel = os.fork()
    if kernel:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        watch(kernel)
    (_NOTEBOOK / "cgroup.procs").write_text(str(os.getpid()))
    from labkit.session import inside

    inside.main()


if __name__ == "__main__":
    main()
