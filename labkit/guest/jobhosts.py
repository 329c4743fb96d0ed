"""Ways to a job's host: a process started here, or, from inside a guest, one that its launcher starts.

A request goes in, a reply comes out; when the way is closed, the host ends, and the job's guest with it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from labkit.errors import CapabilityError
from labkit.guest.info import JOB_SOCKET, current

if TYPE_CHECKING:
    from collections.abc import Sequence

_START = "import sys; sys.path.insert(0, sys.argv[1]); from labkit.guest.jobhost import main; main()"
_LAST_LINES = 4
_READ_BYTES = 1 << 16


class JobHost(Protocol):
    """A way to the host of one job."""

    def converse(self, request: bytes) -> bytes:
        """Send a request and return the whole reply; what there is of it when the host ends early."""

    def end(self) -> None:
        """Let the host end its job. May be called from another thread than `converse`."""

    def close(self) -> str:
        """Wait for its end and return its last words."""


def open_job_host() -> JobHost:
    """Return a way to a new host. Raises CapabilityError inside a guest whose launcher starts none."""
    return HostProcess() if current() is None else HostCall()


def host_command(*arguments: str) -> Sequence[str]:
    """Return the command that runs `jobhost.py` with this Python, wherever this package stands."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    return (sys.executable, "-c", _START, root, *arguments)


class HostProcess:
    """A host that is a child of this process."""

    def __init__(self) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._process = subprocess.Popen(
            host_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            start_new_session=True,  # a terminal's interrupt is for the pool, which then ends its jobs
        )

    def converse(self, request: bytes) -> bytes:
        """Send a request and return the whole reply. The way there stays open: its end would end the job."""
        to_host, from_host = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        with contextlib.suppress(BrokenPipeError):  # it ended first: its words say why
            to_host.write(request)
            to_host.flush()
        return from_host.read()

    def end(self) -> None:
        """Let the host end its job."""
        self._process.terminate()

    def close(self) -> str:
        """Wait for its end and return its last words."""
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
        with self._words as words:
            words.seek(0)
            return " / ".join(words.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:])


class HostCall:
    """A host that the launcher of this guest starts outside; the guest's agent connects the two."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(JOB_SOCKET))
        except OSError as error:
            self._socket.close()
            raise CapabilityError(
                "no other guest can be started from inside this one",
                where=f"{JOB_SOCKET}: {error.strerror}",
                todo="start it from outside the lab's Linux",
            ) from None

    def converse(self, request: bytes) -> bytes:
        """Send a request and return the whole reply."""
        reply = bytearray()
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(request)
            while piece := self._socket.recv(_READ_BYTES):
                reply += piece
        return bytes(reply)

    def end(self) -> None:
        """Let the host end its job."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> str:
        """Hang up; the host's words stay outside."""
        self._socket.close()
        return ""
