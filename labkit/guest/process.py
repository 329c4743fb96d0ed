"""Start one process in the guest as the host describes it: pipes, terminal, environment, directory."""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import struct
import termios

from labkit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Any

    Attributes = tuple[Any, ...]
else:
    import _signal as signal  # without the names, which need `enum`

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_STATUS_LABKIT_FAILED = 125
_STATUS_CANNOT_EXECUTE = 126
_STATUS_NOT_FOUND = 127
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_NO_PIPES: Mapping[int, int] = {}
NO_ATTRIBUTES: Attributes = ()


class SpawnError(Exception):
    """The process could not be started: `status` as env(1) would return it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class SpawnRequest(Record):
    """A process to start. Descriptors 0-2 in neither `pipes` (to channels) nor `terminal` are /dev/null."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    umask: int
    pipes: Mapping[int, int] = _NO_PIPES
    terminal: tuple[int, ...] = ()
    terminal_channel: int = 0
    terminal_attributes: Attributes = NO_ATTRIBUTES
    size: tuple[int, int] = (24, 80)

    def to_bytes(self) -> bytes:
        """Return the request as it goes to the guest; names that are no UTF-8 survive."""
        return marshal.dumps({**self._asdict(), "env": dict(self.env), "pipes": dict(self.pipes)})

    @classmethod
    def from_bytes(cls, request: bytes) -> SpawnRequest:
        """Return the request that `to_bytes` wrote."""
        return cls(**marshal.loads(request))  # noqa: S302 - it comes from the host, which may do anything here


class End(Record):
    """The agent's end of one stream of a process."""

    channel: int
    source: int | None
    sink: int | None


class Spawned(Record):
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
        pid = _start(request, files)
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


def read_attributes(terminal: int) -> Attributes:
    """Return a terminal's attributes as termios' tcgetattr(3) gives them."""
    return tuple(termios.tcgetattr(terminal))


def read_quiet_attributes(terminal: int) -> Attributes:
    """Return the attributes for a guest's terminal that leaves echo and line ends to this one."""
    iflag, oflag, cflag, lflag, *rest = termios.tcgetattr(terminal)
    return (iflag, oflag & ~termios.OPOST, cflag, lflag & ~termios.ECHO, *rest)


def _write_attributes(terminal: int, attributes: Attributes) -> None:
    *numbers, given = attributes
    characters: list[bytes | int] = list(given)
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


def _start(request: SpawnRequest, files: Mapping[int, int]) -> int:
    """Start the process without copying this one, whose every page would fault in the copy and here again.

    The directory and the file mode mask are this process's own while it does so.
    """
    umask = os.umask(request.umask)
    try:
        os.chdir(request.cwd)
    except OSError as error:
        raise SpawnError(_STATUS_LABKIT_FAILED, f"{request.cwd}: {error.strerror}") from error
    else:
        return _search_and_execute(request, files)
    finally:
        os.umask(umask)
        os.chdir("/")


def _search_and_execute(request: SpawnRequest, files: Mapping[int, int]) -> int:
    """Execute the first program of that name that can be executed, as execvpe(3) finds it."""
    program = request.argv[0]
    env = {**_guest_environment(), **request.env}
    actions = _plan_files(request, files)
    folders = env.get("PATH", os.defpath).split(":") if "/" not in program else [""]
    refusals = []
    for folder in folders:
        path = os.path.join(folder, program)
        try:
            os.stat(path)  # a process that fails to execute takes longer
            return os.posix_spawn(
                path, request.argv, env, file_actions=actions, setsid=True, setsigdef=_RESET
            )
        except OSError as error:
            if len(folders) == 1 or error.errno not in _ABSENT:
                refusals.append(error)
    number = refusals[0].errno if refusals else errno.ENOENT
    status = _STATUS_NOT_FOUND if number == errno.ENOENT else _STATUS_CANNOT_EXECUTE
    raise SpawnError(status, f"{program}: {os.strerror(number or 0)}")


def _plan_files(request: SpawnRequest, files: Mapping[int, int]) -> list[tuple[Any, ...]]:
    """Return how to fill descriptors 0-2. All others are close-on-exec; none of them is below 3.

    A terminal that a session's first process opens becomes the session's own.
    """
    actions: list[tuple[Any, ...]] = []
    for fd in (_STDIN, _STDOUT, _STDERR):
        if fd in request.terminal:
            actions.append((os.POSIX_SPAWN_OPEN, fd, f"/proc/self/fd/{files[fd]}", os.O_RDWR, 0))
        elif fd in files:
            actions.append((os.POSIX_SPAWN_DUP2, files[fd], fd))
        else:
            actions.append((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0))
    return actions


def _guest_environment() -> Mapping[str, str]:
    """Return what the guest itself adds to a process's environment."""
    return {name: os.environ[name] for name in ("MODPROBE_OPTIONS",) if name in os.environ}
