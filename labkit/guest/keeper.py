"""The keeper: a small process between the launcher and the guest that cleans up, whoever dies first.

It is the guest's parent. It ends the guest when the launcher is gone (end of the life pipe), ends what the
guest leaves behind when the guest is gone, and removes the private directory. The guest gets SIGTERM when the
keeper itself is killed; the launcher then does the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labkit.guest import syscalls
from labkit.guest.placement import SHORTEST_S, Placement, stay_here
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.guest.wall import Wall

_GRACE_S = 2.0  # the end of its line lets the guest power off by itself in about half a second
_CONSOLE_CHUNKS = 64
_CHUNK = 1024


class PrivateFiles(Record):
    """What the guest needs while it boots: a directory with links (to their targets) and files in it.

    `memory` is a second one, for its memory file, where it may not use a directory that others use too.
    """

    directory: Path
    links: Mapping[str, str]
    contents: Mapping[str, bytes]
    memory: Path | None = None

    def write(self) -> None:
        """Make the directory and what is in it."""
        for directory in filter(None, (self.directory, self.memory)):
            directory.mkdir(mode=0o700)
        for name, target in self.links.items():
            (self.directory / name).symlink_to(target)
        for name, content in self.contents.items():
            (self.directory / name).write_bytes(content)

    def remove(self) -> None:
        """Remove what is there of it."""
        for directory in filter(None, (self.directory, self.memory)):
            if directory.exists():
                import shutil

                shutil.rmtree(directory, ignore_errors=True)


class GuestProgram(Record):
    """What the keeper starts. `{line}` in an argument becomes the line's descriptor number.

    `one_processor`: it is kept on one (`placement.py`).
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: PrivateFiles
    death_signal: int
    unshare_flags: int = 0
    fixed_address_layout: bool = False
    one_processor: bool = False
    wall: Wall | None = None


class Keeper(Record):
    """The launcher's view: closing `life` (or dying) ends the guest, `report` carries JSON lines."""

    pid: int
    life: int
    report: int


def start_keeper(program: GuestProgram, line: int) -> Keeper:
    """Fork the keeper, which starts the guest with `line` as its end of the line; `line` is closed here."""
    life_reader, life = os.pipe2(os.O_CLOEXEC)
    report, report_writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _keep(program, line, life_reader, report_writer)
    for fd in (line, life_reader, report_writer):
        os.close(fd)
    return Keeper(pid, life, report)


def _keep(program: GuestProgram, line: int, life: int, report: int) -> NoReturn:
    try:
        os.setsid()
        _leave_launcher(keep=(line, life, report))
        keeper = _Keeper(program, life, report)
        try:
            keeper.run(line)
        except OSError as error:
            keeper.give_up(error)
    finally:
        os._exit(0)


def _leave_launcher(keep: tuple[int, ...]) -> None:
    """Drop every descriptor and signal disposition of the launcher."""
    signal.set_wakeup_fd(-1)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGCHLD,
        signal.SIGTSTP,
    ):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd not in keep:
            os.dup2(null, fd)
    start = 3
    for fd in sorted(keep):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")


class _Keeper:
    def __init__(self, program: GuestProgram, life: int, report: int) -> None:
        self._program = program
        self._life = life
        self._report = report
        self._console: deque[bytes] = deque(maxlen=_CONSOLE_CHUNKS)

    def run(self, line: int) -> None:
        syscalls.become_subreaper()
        self._program.files.write()
        console, console_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        wake, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if self._program.unshare_flags:
            _unshare(self._program.unshare_flags)
        pid = os.fork()
        if pid == 0:
            _become_guest(self._program, line, console_writer)
        os.close(line)
        os.close(console_writer)
        self._tell({"guest": pid})
        status = self._watch(pid, console, wake)
        _end_group(pid)
        self._program.files.remove()
        self._drain(console)
        text = b"".join(self._console).decode(errors="replace")
        self._tell({"ended": status, "console": text})

    def give_up(self, error: OSError) -> None:
        """Say why the guest could not be started, and leave nothing."""
        self._program.files.remove()
        self._tell({"ended": None, "console": str(error)})

    def _watch(self, pid: int, console: int, wake: int) -> int | None:
        """Return the guest's wait status; None when it outlives the launcher and must be killed."""
        poll = select.poll()
        for fd in (self._life, console, wake):
            poll.register(fd, select.POLLIN)
        deadline: float | None = None
        placement = Placement(pid) if self._program.one_processor else None
        next_look = time.monotonic() + SHORTEST_S if placement else None
        while deadline is None or time.monotonic() < deadline:
            due = [moment for moment in (deadline, next_look) if moment is not None]
            timeout_ms = max(0.0, min(due) - time.monotonic()) * 1000 if due else None
            for fd, _ in poll.poll(timeout_ms):
                if fd == console and not self._drain(console):
                    poll.unregister(console)
                elif fd == self._life:
                    poll.unregister(self._life)
                    deadline = time.monotonic() + self._grace_s()
                elif fd == wake:
                    os.read(wake, _CHUNK)
            status = _reap(pid)
            if status is not None:
                return status
            if placement and next_look is not None and time.monotonic() >= next_look:
                next_look = time.monotonic() + placement.look()
        return None

    def _grace_s(self) -> float:
        """Return how long the guest may take to power off; one that still boots hears no end of its line."""
        return 0.0 if self._program.files.directory.exists() else _GRACE_S

    def _drain(self, console: int) -> bool:
        """Take what the guest wrote on its console; False at its end."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(console, _CHUNK):
                self._console.append(data)
            return False
        return True

    def _tell(self, message: Mapping[str, object]) -> None:
        with contextlib.suppress(OSError):
            os.write(self._report, json.dumps(message).encode() + b"\n")


def _unshare(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(flags)
    if flags & syscalls.CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _become_guest(program: GuestProgram, line: int, console: int) -> NoReturn:
    """Replace this child by the guest, in a session of its own: no terminal's signal reaches it."""
    keeper = os.getppid()
    try:
        os.setsid()
        os.dup2(console, 1)
        os.dup2(console, 2)
        os.set_inheritable(line, True)  # noqa: FBT003 - it takes no keyword
        if program.one_processor:
            stay_here()
        if program.fixed_address_layout:
            syscalls.fix_address_layout()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        syscalls.set_parent_death_signal(program.death_signal)
        if program.wall is not None:
            _confine(program.wall)
        if os.getppid() == keeper:
            argv = [argument.replace("{line}", str(line)) for argument in program.argv]
            os.execve(argv[0], argv, dict(program.env))  # noqa: S606
    except OSError as error:
        os.write(2, f"{program.argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _confine(wall: Wall) -> None:
    from labkit.guest.wall import confine_guest

    confine_guest(wall)


def _reap(pid: int) -> int | None:
    """Reap every child that has ended; return the wait status of `pid` if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                break
            if child == pid:
                found = status
    return found


def _end_group(pid: int) -> None:
    """Kill what is left of the guest's process group and reap it: a killed guest leaves helpers behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
