"""A running guest: boot it, start processes and connections in it, drive its loop, end it."""

from __future__ import annotations

import _socket  # `socket`, which gives all numbers names, takes longer to import
import contextlib
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Self

from labkit.errors import GuestError, RequestError
from labkit.guest.boot import plan_namespaces, plan_uml
from labkit.guest.capabilities import no_virtual_time
from labkit.guest.clock import REAL_TIME
from labkit.guest.connection import GuestConnection
from labkit.guest.info import GuestInfo
from labkit.guest.keeper import Keeper, PrivateFiles, start_keeper
from labkit.guest.line import Frame, FrameType, HostLine
from labkit.guest.places import name_private_directory, sweep_dead_directories

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from labkit.guest.capabilities import Linux
    from labkit.guest.clock import Timing

DEFAULT_MEMORY_MB = 512
LEAST_MEMORY_MB = 96
_BOOT_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 5.0
_CONSOLE_LINES = 6


class Guest(GuestConnection):
    """A booted guest. Use as a context manager: leaving it ends the guest and all that is in it."""

    def __init__(
        self, keeper: Keeper, line_fd: int, files: PrivateFiles, linux: Linux, timing: Timing
    ) -> None:
        super().__init__(HostLine(line_fd), range(1, 2**31))
        self._linux = linux
        self._timing = timing
        self.info: GuestInfo | None = None
        self._keeper = keeper
        self._line_fd = line_fd
        self._files = files
        self._group = 0
        self._report = bytearray()
        self._ended: dict[str, object] | None = None
        self._line_ended = False
        self._keeper_gone = False
        self._overtime: tuple[str, str] | None = None
        self.on_call: Callable[[int], None] = self.refuse_call
        self.link.on_end = self._note_line_end
        self.loop.on_readable(keeper.report, self._read_report)

    @classmethod
    def boot(
        cls,
        linux: Linux,
        *,
        memory_mb: int = DEFAULT_MEMORY_MB,
        timing: Timing = REAL_TIME,
    ) -> Guest:
        """Boot a guest and return it when its agent is up: `start`, then `come_up`."""
        guest = cls.start(linux, memory_mb=memory_mb, timing=timing)
        try:
            guest.come_up()
        except BaseException:
            guest.close()
            raise
        return guest

    @classmethod
    def start(
        cls,
        linux: Linux,
        *,
        memory_mb: int = DEFAULT_MEMORY_MB,
        timing: Timing = REAL_TIME,
    ) -> Guest:
        """Start a guest and return while it boots: a context in which to get ready and then let it `come_up`.

        Raises RequestError for too little memory, CapabilityError when the memory has no place.
        """
        if linux.kind == "uml" and memory_mb < LEAST_MEMORY_MB:
            raise RequestError(
                f"{memory_mb} MB is too little memory for the guest",
                where="--memory",
                todo=f"give at least {LEAST_MEMORY_MB}M; lessons need {DEFAULT_MEMORY_MB}M",
            )
        _open_standard_files()
        sweep_dead_directories(os.environ)
        return _start(cls, linux, memory_mb, timing)

    def come_up(self) -> None:
        """Wait until the agent of a guest that was started is up.

        Raises CapabilityError when its Linux has not the clock that was asked for, GuestError (with the
        console's last words) when it does not come up.
        """
        self._await_hello()
        self._keep_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The lab's name, which `labkit attach` takes."""
        return self.info.lab if self.info else ""

    def turn(self, timeout_s: float | None = None) -> None:
        """Wait for the next event and handle it; raise GuestError when the guest has ended."""
        self.loop.turn(timeout_s)
        if self._line_ended or self._keeper_gone or self._ended is not None:
            raise self._death()
        if self._overtime:
            allowed, clock = self._overtime
            raise GuestError(
                f"what runs in the guest did not end within {allowed}",
                where=clock,
                todo="let it end by itself, or allow it more time",
            )

    def close(self) -> None:
        """End the guest and wait until nothing of it is left. May be called twice."""
        if self._line_fd < 0:
            return
        with contextlib.suppress(OSError):
            self.link.send(FrameType.POWER_OFF, 0)
        self._await_end(time.monotonic() + _END_TIMEOUT_S)
        os.close(self._keeper.life)
        self.loop.forget(self._keeper.report)
        os.close(self._keeper.report)
        self.link.close()
        os.close(self._line_fd)
        self._line_fd = -1
        if self._ended is None:
            self._clean_up()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._keeper.pid, 0)

    def refuse_call(self, channel: int) -> None:
        """Hang up on a process in the guest that has called this launcher."""
        self.link.send(FrameType.CLOSED, channel)
        self.link.send(FrameType.EOF, channel)

    def _await_hello(self) -> None:
        import shutil  # noqa: F401 - what removing files needs, while the guest boots

        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        while self.info is None:
            remaining_s = deadline - time.monotonic()
            if remaining_s < 0:
                raise GuestError(
                    f"the guest did not come up within {_BOOT_TIMEOUT_S:.0f} seconds",
                    todo="try again when the machine is less busy; `labkit doctor` tells more",
                )
            self.turn(remaining_s)
        self._files.remove()  # needed while booting only: now a kill leaves nothing

    def _keep_time(self) -> None:
        """Hold the guest to its clock, which it has tried itself, and to the bounds on its time."""
        if self.info is None or self.info.clock != self._timing.clock:
            raise no_virtual_time(self._linux.why)
        if self._timing.wall_limit_s is not None:
            self.loop.after(self._timing.wall_limit_s, self._note_late)

    def _note_late(self) -> None:
        self._overtime = (f"{self._timing.wall_limit_s:,.0f} seconds of wall time", "this machine's clock")

    def _await_end(self, deadline: float) -> None:
        while self._ended is None and not self._keeper_gone:
            remaining_s = deadline - time.monotonic()
            if remaining_s < 0:
                return
            self.loop.turn(remaining_s)

    def _clean_up(self) -> None:
        """Do the keeper's work when it cannot."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._keeper.pid, signal.SIGKILL)
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
        self._files.remove()

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            self.info = GuestInfo.from_bytes(frame.payload)
        elif frame.type == FrameType.CALL:
            self.on_call(frame.channel)
        elif frame.type == FrameType.OVERTIME:
            limit = f"{self._timing.guest_limit_s:,.0f} seconds of its own time"
            self._overtime = (limit, f"the guest's {self._timing.clock} clock")
        else:
            super()._handle(frame)

    def _note_line_end(self) -> None:
        self._line_ended = True

    def _read_report(self) -> None:
        data = os.read(self._keeper.report, 65536)
        if not data:
            self._keeper_gone = True
            self.loop.forget(self._keeper.report)
            return
        self._report += data
        *lines, rest = bytes(self._report).split(b"\n")
        self._report = bytearray(rest)
        for line in lines:
            message = json.loads(line)
            if "guest" in message:
                self._group = message["guest"]
            else:
                self._ended = message

    def _death(self) -> GuestError:
        """Return the error for a guest that is gone, with the last words on its console."""
        self._await_end(time.monotonic() + _END_TIMEOUT_S)
        if self._ended is None and not self._keeper_gone:
            return GuestError("the line to the guest broke", todo="start the lab again")
        if self._ended is None:
            return GuestError(
                "the guest was ended from outside: its keeper process was killed", todo="start the lab again"
            )
        status = self._ended["ended"]
        how = describe_wait_status(status) if isinstance(status, int) else "was ended"
        words = last_words(str(self._ended["console"]))
        return GuestError(
            f"the guest {'ended' if self.info else 'did not come up'}: it {how}",
            where=f"its console said: {words}" if words else "its console said nothing",
            todo="start it again; if it happens again, give it more memory (--memory) or run `labkit doctor`",
        )


def describe_wait_status(status: int) -> str:
    """Return a wait status in words."""
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def last_words(console: str) -> str:
    """Return what a guest's console says about its end: from the panic on, else the last lines."""
    lines = [line.strip() for line in console.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if "panic" in line.lower() or "Bus error" in line:
            return " / ".join(lines[max(0, number - 2) : number + 1])
    return " / ".join(lines[-_CONSOLE_LINES:])


def _open_standard_files() -> None:
    """Put /dev/null where standard files are closed, so that no pipe of ours takes their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _start(cls: type[Guest], linux: Linux, memory_mb: int, timing: Timing) -> Guest:
    private = name_private_directory(os.environ)
    lab = os.urandom(3).hex()
    if linux.kind == "uml":
        program = plan_uml(linux, lab, memory_mb, private, os.environ, timing=timing)
    else:
        program = plan_namespaces(lab, private, os.environ)
    ours, theirs = (end.detach() for end in _socket.socketpair())
    return cls(start_keeper(program, theirs), ours, program.files, linux, timing)
