"""The learner's kernel of a grading session, seen from outside: started, asked, ended, started anew.

It is the ordinary session behind a wall (`enclosed.py`), as a process of its own: what a hostile guest says
over its line is read there, and never in the process that writes marks.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from labkit.errors import GuestError
from labkit.guest.wall import WALL_VARIABLE
from labkit.session.bounds import MOST_MESSAGE_BYTES, MOST_WAITING_MESSAGES, START_LIMIT_S, TOO_MANY_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from labkit.guest.wall import Wall

_POLL_MS = 50
_LAST_WORDS, _MOST_WORDS = 4, 400
_TOO_MANY = "it started more processes than a notebook may"


class LearnerKernel:
    """One kernel in one walled guest. `close` ends both."""

    def __init__(self, wall: Wall, guest: str, temporary: Path, key: str | None) -> None:
        """Start it; `info` is what it says about itself when it is ready.

        `guest` is the User-Mode Linux' path, `key` that of the student's draws.
        """
        self._errors: IO[bytes] = tempfile.TemporaryFile(dir=temporary)  # noqa: SIM115 - closed by close()
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, MOST_MESSAGE_BYTES)
        self._context.setsockopt(zmq.RCVHWM, MOST_WAITING_MESSAGES)
        self._context.setsockopt(zmq.LINGER, 0)
        connection_file = temporary / f"kernel-{os.urandom(4).hex()}.json"
        self._manager = _Manager(connection_file=str(connection_file), context=self._context)
        self._manager.start_kernel(env=_environment(wall, guest, temporary, key), stderr=self._errors)
        self.session = self._manager.session
        self.info: Mapping[str, Any] = {}
        self.shell, self.control, self.iopub = (
            self._manager.connect_shell(),
            self._manager.connect_control(),
            self._manager.connect_iopub(),
        )
        self.poller = zmq.Poller()
        for socket in (self.shell, self.control, self.iopub):
            self.poller.register(socket, zmq.POLLIN)

    @property
    def is_alive(self) -> bool:
        """Whether its launcher, and so its guest, still runs."""
        return bool(self._manager.is_alive())

    def await_ready(self) -> None:
        """Wait until it answers and its output arrives; raise GuestError when it does not come up."""
        deadline = time.monotonic() + START_LIMIT_S
        answered = heard = False
        while not (answered and heard):
            asked = self.send("kernel_info_request", {})
            again = time.monotonic() + 1.0
            while time.monotonic() < again and not (answered and heard):
                self.poller.poll(_POLL_MS)
                heard = heard or any(True for _ in self.received(self.iopub))
                for message in self.received(self.shell):
                    answered = answered or message["parent_header"].get("msg_id") == asked
                    self.info = message["content"]
                if not self.is_alive or time.monotonic() > deadline:
                    raise GuestError("the notebook's guest did not come up", where=self.last_words())

    def send(self, type_: str, content: Mapping[str, Any], *, control: bool = False) -> str:
        """Send a request; return its id."""
        message = self.session.msg(type_, dict(content))
        self.session.send(self.control if control else self.shell, message)
        return str(message["header"]["msg_id"])

    def received(self, socket: zmq.Socket[bytes]) -> Iterator[dict[str, Any]]:
        """Yield the messages that have come, of a flood some; what is no message is dropped."""
        for _ in range(MOST_WAITING_MESSAGES):
            if not socket.poll(0):
                return
            frames = socket.recv_multipart()
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                _, rest = self.session.feed_identities(frames)
                message = self.session.deserialize(rest)
                if _is_message(message):
                    yield message

    def listen_anew(self) -> None:
        """Connect to its output again; what was under way is lost. A kernel that stays silent is ended."""
        self.poller.unregister(self.iopub)
        self.iopub.close(linger=0)
        self.iopub = self._manager.connect_iopub()
        self.poller.register(self.iopub, zmq.POLLIN)
        try:
            self.await_ready()
        except GuestError:
            self._manager.shutdown_kernel(now=True)

    def last_words(self) -> str:
        """Return why it ended, in words."""
        process = getattr(self._manager.provisioner, "process", None)
        if process is not None and process.poll() == TOO_MANY_PROCESSES:
            return _TOO_MANY
        self._errors.seek(0)
        lines = self._errors.read(64 * 1024).decode(errors="replace").strip().splitlines()
        words = " / ".join(line.strip() for line in lines[-_LAST_WORDS:])
        return words[:_MOST_WORDS] or "without a word"

    def close(self) -> None:
        """End it, its launcher and its guest."""
        for socket in (self.shell, self.control, self.iopub):
            socket.close()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._context.destroy(linger=0)
        self._errors.close()


def _is_message(message: Mapping[str, Any]) -> bool:
    parts = [message.get(part) for part in ("header", "parent_header", "metadata", "content")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    type_, parent = message["header"].get("msg_type"), message["parent_header"].get("msg_id", "")
    return isinstance(type_, str) and isinstance(parent, str)


class _Manager(KernelManager):  # type: ignore[misc]  # it comes without types
    """Jupyter's own manager, for a kernel that is registered nowhere."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "labkit.session", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="", language="python", interrupt_mode="message")


def _environment(wall: Wall, guest: str, temporary: Path, key: str | None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"XDG_RUNTIME_DIR", "LABKIT_DRAW_KEY"}
    }
    given = {"LABKIT_GUEST": guest, "TMPDIR": str(temporary), WALL_VARIABLE: wall.to_json()}
    return {**kept, **given, **({"LABKIT_DRAW_KEY": key} if key else {})}
