"""Start one process in the guest as the host describes it: pipes, terminal, environment, directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import struct
import termios
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_STATUS_LABKIT_FAILED = 125
_STATUS_CANNOT_EXECUTE = 126
_STATUS_NOT_FOUND = 127


class SpawnError(Exception):
    """The process could not be started: `status` as env(1) would return it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class SpawnRequest:
    """A process to start. Descriptors 0-2 in neither `pipes` (to channels) nor `terminal` are /dev/null."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    umask: int
    pipes: Mapping[int, int] = field(default_factory=dict)
    terminal: tuple[int, ...] = ()
    terminal_channel: int = 0
    terminal_attributes: str = ""
    size: tuple[int, int] = (24, 80)

    def to_json(self) -> bytes:
        """Return the request as JSON; names that are no UTF-8 survive."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> SpawnRequest:
        """Return the request that `to_json` wrote."""
        values = json.loads(text)
        pipes = {int(fd): channel for fd, channel in values.pop("pipes").items()}
        tuples: dict[str, Any] = {name: tuple(values.pop(name)) for name in ("argv", "terminal", "size")}
        return cls(pipes=pipes, **tuples, **values)


@dataclass(frozen=True, slots=True)
class End:
    """The agent's end of one stream of a process."""

    channel: int
    source: int | None
    sink: int | None


@dataclass(frozen=True, slots=True)
class Spawned:
    """A running process: the agent's ends of its streams, and its terminal if it has one."""

    pid: int
    ends: tuple[End, ...]
    terminal: int | None


def spawn(request: SpawnRequest) -> Spawned:
    """Start the process in a session of its own; raise SpawnError when it cannot be started."""
    ends: list[End] = []
    files: dict[int, int] = {}
    terminal = None
    if request.terminal:
        terminal, slave = _open_terminal(request)
        files.update(dict.fromkeys(request.terminal, slave))
        ends.append(End(request.terminal_channel, terminal, terminal))
    for fd, channel in request.pipes.items():
        ends.append(_open_pipe(fd, channel, files))
    try:
        pid = _fork(request, files)
    except SpawnError:
        for fd in {fd for end in ends for fd in (end.source, end.sink) if fd is not None}:
            os.close(fd)
        raise
    finally:
        for fd in set(files.values()):
            os.close(fd)
    return Spawned(pid, tuple(ends), terminal)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set a terminal's size in characters; its foreground job hears of it."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_attributes(terminal: int) -> str:
    """Return a terminal's attributes (termios) as text."""
    *numbers, characters = termios.tcgetattr(terminal)
    codes = [code if isinstance(code, int) else code[0] for code in characters]
    return json.dumps([*numbers, codes])


def read_quiet_attributes(terminal: int) -> str:
    """Return the attributes for a guest's terminal that leaves echo and line ends to this one."""
    iflag, oflag, cflag, lflag, input_speed, output_speed, characters = termios.tcgetattr(terminal)
    numbers = [iflag, oflag & ~termios.OPOST, cflag, lflag & ~termios.ECHO, input_speed, output_speed]
    codes = [code if isinstance(code, int) else code[0] for code in characters]
    return json.dumps([*numbers, codes])


def _write_attributes(terminal: int, text: str) -> None:
    *numbers, codes = json.loads(text)
    characters: list[bytes | int] = [bytes([code]) for code in codes]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSANOW, [*numbers, characters])


def _open_terminal(request: SpawnRequest) -> tuple[int, int]:
    master, slave = os.openpty()
    os.set_blocking(master, False)
    if request.terminal_attributes:
        _write_attributes(slave, request.terminal_attributes)
    set_size(master, *request.size)
    return master, slave


def _open_pipe(fd: int, channel: int, files: dict[int, int]) -> End:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if fd == _STDIN:
        files[fd] = reader
        os.set_blocking(writer, False)
        return End(channel, None, writer)
    files[fd] = writer
    os.set_blocking(reader, False)
    return End(channel, reader, None)


def _fork(request: SpawnRequest, files: Mapping[int, int]) -> int:
    """Fork and execute; the child reports a failure through a pipe that a successful exec closes."""
    report_reader, report_writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(request, files, report_writer)
    os.close(report_writer)
    with open(report_reader, "rb") as report:  # noqa: PTH123 - a descriptor
        failure = report.read()
    if failure:
        os.waitpid(pid, 0)
        status, message = json.loads(failure)
        raise SpawnError(status, message)
    return pid


def _become(request: SpawnRequest, files: Mapping[int, int], report: int) -> None:
    status, what = _STATUS_LABKIT_FAILED, request.argv[0]
    try:
        os.setsid()
        _take_files(files, report)
        if request.terminal:
            fcntl.ioctl(request.terminal[0], termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.umask(request.umask)
        what = request.cwd
        os.chdir(request.cwd)
        status, what = _STATUS_CANNOT_EXECUTE, request.argv[0]
        os.execvpe(request.argv[0], request.argv, {**_guest_environment(), **request.env})  # noqa: S606
    except OSError as error:
        if error.errno == errno.ENOENT and status == _STATUS_CANNOT_EXECUTE:
            status = _STATUS_NOT_FOUND
        os.write(report, json.dumps([status, f"{what}: {error.strerror}"]).encode())
    finally:
        os._exit(_STATUS_LABKIT_FAILED)


def _guest_environment() -> Mapping[str, str]:
    """Return what the guest itself adds to a process's environment."""
    return {name: os.environ[name] for name in ("MODPROBE_OPTIONS",) if name in os.environ}


def _take_files(files: Mapping[int, int], report: int) -> None:
    """Put the process's files on descriptors 0-2. All others are close-on-exec; none of them is below 3."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (_STDIN, _STDOUT, _STDERR):
        os.dup2(files.get(fd, null), fd)
    with contextlib.suppress(OSError):
        os.set_inheritable(report, False)  # noqa: FBT003 - it takes no keyword
