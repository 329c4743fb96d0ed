"""Namespace: a network namespace with a name, and a thread of this process that lives in it.

The name appears under /run/netns, so that `ip netns` knows it. A thread of its own enters the namespace at
the first use and runs what it is given there: sockets made by it and processes started by it stay in the
namespace, whoever uses them later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self, TypeVar

from labkit.errors import BuildError, CapabilityError, LabError
from labkit.fabric import syscalls
from labkit.fabric.resident import Resident
from labkit.fabric.sysctl import read_sysctl, write_sysctl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = Path("/run/netns")
THIS_NETWORK = Path("/proc/thread-self/ns/net")
PATIENCE_S = 5.0  # for a process or a function to end before it is killed or complained about

T = TypeVar("T")


class Closing(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it; a second call does nothing."""


Stream = int | IO[str] | None


@dataclass(frozen=True, slots=True)
class Completed:
    """What a finished command wrote and returned; `status` is negative where a signal ended it."""

    stdout: str
    stderr: str
    status: int

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, so that what it wrote is not its last word."""
        return self.status < 0

    @property
    def complaint(self) -> str:
        """What it says has gone wrong; where it says nothing, how it ended."""
        ending = f"signal {-self.status} ended it" if self.killed else f"it ended with status {self.status}"
        said = self.stderr.strip()
        return f"{said}; {ending}" if said and self.killed else said or ending


class Namespace:
    """A named network namespace. `Namespace.create` makes it, `close()` or the end of `with` removes it."""

    def __init__(self, name: str, descriptor: int) -> None:
        """Take over `descriptor`, open on a namespace that has the name already."""
        self.name = name
        self._descriptor = descriptor
        self._resident: Resident | None = None
        self._lock = threading.Lock()
        self._processes: weakref.WeakSet[subprocess.Popen[str]] = weakref.WeakSet()
        self._kept: list[Closing] = []

    def __repr__(self) -> str:
        return f"<Namespace {self.name}{' (closed)' if self._descriptor < 0 else ''}>"

    @classmethod
    def create(cls, name: str) -> Namespace:
        """Make an empty network namespace called `name`.

        Raises BuildError where the name is taken or no more can be made, CapabilityError where this process
        may make none.
        """
        prepare_names()
        with Resident(f"make {name}") as maker:
            return maker.submit(lambda: cls.from_new_network(name)).result()

    @classmethod
    def from_new_network(cls, name: str) -> Namespace:
        """Move the calling thread into a new network namespace and name that one, after `prepare_names`.

        Errors as for `create`.
        """
        path = _claim_name(name)
        try:
            syscalls.unshare_network()
            descriptor = os.open(THIS_NETWORK, os.O_RDONLY)
            try:
                syscalls.bind_mount(THIS_NETWORK, path)
            except BaseException:
                os.close(descriptor)
                raise
        except BaseException as error:
            path.unlink()
            if isinstance(error, OSError):
                raise _refusal(name, error) from error
            raise
        return cls(name, descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The file that names it: what `ip netns` and `nsenter --net=` take."""
        return NAMES / self.name

    def fileno(self) -> int:
        """The descriptor of the namespace itself, for IFLA_NET_NS_FD. Raises BuildError after `close()`."""
        if self._descriptor < 0:
            raise BuildError(f"the network namespace {self.name} is closed", todo="open the lab again")
        return self._descriptor

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` in the namespace and return its value; what it raises is raised here.

        Any thread may call it, the namespace's own too. Calls from several threads take turns. An interrupt
        ends the waiting, not the function.
        """
        resident = self._at_home()
        return function() if resident.is_current else resident.submit(function).result()

    def command(self, argv: Sequence[str], *, stdin: str | None = None) -> Completed:
        """Run a command in the namespace to its end; `stdin` is its input. An interrupt ends it.

        Raises CapabilityError where there is no such command; a status other than 0 raises nothing.
        """
        with contextlib.ExitStack() as opened:
            source = subprocess.DEVNULL if stdin is None else opened.enter_context(_as_file(stdin)).fileno()
            process = self.start(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            try:
                stdout, stderr = process.communicate()
            except BaseException:
                process.kill()
                raise
        return Completed(stdout, stderr, process.returncode)

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
        stderr: Stream = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command in the namespace and leave it running; `close()` ends it at the latest.

        Raises CapabilityError where there is no such command.
        """

        def spawn() -> subprocess.Popen[str]:
            return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, text=True)

        try:
            process = self._run_or_undo(spawn, lambda orphan: orphan.kill())
        except (FileNotFoundError, PermissionError) as error:  # PATH may hold directories closed to us
            raise CapabilityError(
                f"there is no command `{argv[0]}` here",
                where=self.name,
                todo="labkit doctor names its package",
            ) from error
        self._processes.add(process)
        return process

    def keep(self, resource: Closing) -> None:
        """Close `resource` together with the namespace: a socket that stays open in it keeps it alive."""
        self._kept.append(resource)

    def read_sysctl(self, path: str) -> str:
        """Return a setting, `net.ipv4.ip_forward` or `net/ipv4/ip_forward`. CapabilityError where unknown."""
        return self.run(lambda: read_sysctl(path))

    def write_sysctl(self, path: str, value: int | str) -> None:
        """Change a setting. CapabilityError where it is unknown, BuildError where the value is refused."""
        self.run(lambda: write_sysctl(path, value))

    def close(self) -> None:
        """Take the name away, end what was started in it and the thread. A second call does nothing.

        The kernel frees the namespace itself when its last socket is closed. Raises BuildError if a function
        still runs there.
        """
        if self._descriptor < 0:
            return
        _release_name(self.path)
        for process in self._processes:
            _end(process)
        for resource in self._kept:
            resource.close()
        with self._lock:  # last: a call that was interrupted before this can be made again
            descriptor, self._descriptor = self._descriptor, -1
            resident, self._resident = self._resident, None
        if descriptor >= 0:
            os.close(descriptor)
        if resident is not None and not resident.leave(PATIENCE_S):
            raise BuildError(
                f"a function still runs in the network namespace {self.name}",
                todo="end it before you close the lab",
            )

    def _at_home(self) -> Resident:
        with self._lock:
            descriptor = self.fileno()
            if self._resident is None:
                resident = Resident(f"netns {self.name}")
                try:
                    resident.submit(lambda: syscalls.enter_network(descriptor)).result()
                except BaseException:
                    resident.leave()
                    raise
                self._resident = resident
            return self._resident

    def _run_or_undo(self, function: Callable[[], T], undo: Callable[[T], None]) -> T:
        resident = self._at_home()
        if resident.is_current:
            return function()
        future = resident.submit(function)
        try:
            return future.result()
        except BaseException:
            # Interrupted while waiting: what the function is about to make has no other owner.
            future.add_done_callback(lambda made: None if made.exception() else undo(made.result()))
            raise


def _as_file(text: str) -> IO[str]:
    """Return a file in memory with `text`, to be read from its beginning.

    A pipe would take it in pieces of 4 kB, with a few system calls and a change of process for each.
    """
    file = os.fdopen(os.memfd_create("input"), "w+", encoding="utf-8")
    file.write(text)
    file.seek(0)
    return file


def _claim_name(name: str) -> Path:
    path = NAMES / name
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    except FileExistsError as error:
        raise BuildError(
            f"there is a network namespace called {name} already",
            where=str(path),
            todo="close the other lab (lab.close()), or give this one its own Linux: labkit exec -- ...",
        ) from error
    except OSError as error:
        raise _refusal(name, error) from error
    return path


def prepare_names() -> None:
    """Prepare /run/netns as `ip netns add` does: names given later are seen in every mount namespace.

    Raises CapabilityError where this process may not do so.
    """
    try:
        NAMES.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            syscalls.share_mounts(NAMES)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            syscalls.bind_mount(NAMES, NAMES, flags=syscalls.MS_REC)
            syscalls.share_mounts(NAMES)
    except OSError as error:
        raise _refusal(str(NAMES), error) from error


def _release_name(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(OSError):  # EINVAL: somebody (`ip netns delete`) unmounted it before
            syscalls.unmount(path)
        path.unlink()


def _refusal(name: str, error: OSError) -> LabError:
    if error.errno not in {errno.EPERM, errno.EACCES, errno.ENOSYS}:
        return BuildError(
            f"no further network namespace can be made: {error.strerror}",
            where=name,
            todo="use fewer pods, or allow more: ulimit -n, free memory, sysctl user.max_net_namespaces",
        )
    return CapabilityError(
        f"no network namespace can be made here: {error.strerror}",
        where=name,
        todo="run it in the lab's Linux: labkit exec -- ...",
    )


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
