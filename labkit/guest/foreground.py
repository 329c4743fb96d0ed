"""One command in the guest as if it ran here: these files, this terminal, these signals, its exit status.

Descriptors that are terminals share one terminal in the guest, the others are pipes of their own. With
standard input and output both on the terminal it is raw, as for ssh -t. With output in a pipe it is left as
it is, because the reader of the pipe (a pager) may use it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labkit.errors import RequestError
from labkit.guest.capabilities import command_path
from labkit.guest.line import Frame, FrameType, decode_count, decode_failure
from labkit.guest.process import NO_ATTRIBUTES, SpawnRequest, read_attributes, read_quiet_attributes
from labkit.guest.streams import Stream
from labkit.guest.terminal import Terminal, is_terminal, read_size
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.guest.connection import GuestConnection

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Command(Record):
    """What to run. `env` and `cwd` are the guest process's; None means this process's own."""

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: str | None = None


class Outcome(Record):
    """How a command ended: its wait status, or why it could not be started (`status` as env(1) gives it)."""

    wait_status: int = 0
    failure: str = ""
    failure_status: int = 0


def run_in_foreground(guest: GuestConnection, command: Command) -> Outcome:
    """Run a command in the guest with this process's standard files, terminal and signals."""
    with _restored_signals():
        job = _Job(guest, command)
        try:
            return job.run()
        finally:
            job.leave()


def end_like(outcome: Outcome) -> NoReturn:
    """End this process as the command ended: the same exit status, or by the same signal (without a core)."""
    if outcome.failure:
        sys.stderr.write(f"labkit: {outcome.failure}\n")
        _leave(outcome.failure_status)
    status = os.waitstatus_to_exitcode(outcome.wait_status)
    if status < 0:
        _die_by(-status)
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End at once: Python's own farewell to all that was imported takes a tenth of `labkit exec -- true`."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # typeshed does not know closed standard files
            stream.flush()
    os._exit(status)


def _die_by(number: int) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)  # a signal that does not end a process by default


class _Job:
    def __init__(self, guest: GuestConnection, command: Command) -> None:
        self._guest = guest
        self._outcome: Outcome | None = None
        self._channel = guest.new_channels(1)[0]
        self._on_terminal = tuple(fd for fd in (_STDIN, _STDOUT, _STDERR) if is_terminal(fd))
        self._terminal = Terminal(self._on_terminal[0]) if self._on_terminal else None
        self._interactive = {_STDIN, _STDOUT} <= set(self._on_terminal)
        self._streams: list[Stream] = []
        self._inputs: list[Stream] = []
        self._request = self._open_streams(command)
        self._wake, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        guest.loop.on_readable(self._wake, self._read_signals)

    def run(self) -> Outcome:
        self._take_terminal()
        self._guest.spawn(self._channel, self._request, self._handle)
        while self._outcome is None or any(stream.receiving for stream in self._streams):
            if self._outcome is not None and self._outcome.failure:
                break
            self._guest.turn()
        return self._outcome

    def leave(self) -> None:
        """Give the terminal and the signals back, whatever happened."""
        if self._terminal is not None:
            self._terminal.give_back()
        signal.set_wakeup_fd(self._previous_wakeup)
        self._guest.loop.forget(self._wake)
        os.close(self._wake)
        os.close(self._wakeup)
        for stream in self._streams:
            stream.close()

    def _open_streams(self, command: Command) -> SpawnRequest:
        link = self._guest.link
        pipes = {}
        for fd in (_STDIN, _STDOUT, _STDERR):
            if fd not in self._on_terminal:
                (pipes[fd],) = self._guest.new_channels(1)
                ends = {"source": fd} if fd == _STDIN else {"sink": fd}
                self._streams.append(Stream(link, pipes[fd], **ends, owned=False))
        terminal_channel = 0
        attributes, size = NO_ATTRIBUTES, (24, 80)
        if self._terminal is not None:
            (terminal_channel,) = self._guest.new_channels(1)
            source = _STDIN if _STDIN in self._on_terminal else None
            sink = self._on_terminal[-1]
            self._streams.append(Stream(link, terminal_channel, source=source, sink=sink, owned=False))
            read = read_attributes if self._interactive else read_quiet_attributes
            attributes, size = read(self._terminal.fd), read_size(self._terminal.fd)
        for stream in self._streams:
            if stream.sending:
                stream.pause()
                self._inputs.append(stream)
        env = dict(os.environ if command.env is None else command.env)
        env["PATH"] = command_path(env.get("PATH"))
        env["LABKIT_LAB"] = self._guest.name
        return SpawnRequest(
            argv=command.argv, env=env, cwd=command.cwd or _read_directory(), umask=_read_umask(),
            pipes=pipes, terminal=self._on_terminal, terminal_channel=terminal_channel,
            terminal_attributes=attributes, size=size,
        )  # fmt: skip

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.FAILED:
            status, message = decode_failure(frame.payload)
            self._outcome = Outcome(failure=message, failure_status=status)
        elif frame.type == FrameType.EXITED:
            self._outcome = Outcome(wait_status=decode_count(frame.payload))

    def _take_terminal(self) -> None:
        """Read the input again, and the terminal raw, where this process is in the foreground."""
        in_foreground = self._terminal is None or self._terminal.in_foreground()
        if self._terminal is not None and self._interactive:
            self._terminal.take()
        for stream in self._inputs:
            if in_foreground or _STDIN not in self._on_terminal:
                stream.resume()
            else:
                stream.pause()

    def _read_signals(self) -> None:
        for number in os.read(self._wake, 4096):
            if number == signal.SIGWINCH:
                if self._terminal is not None:
                    self._guest.set_size(self._channel, *read_size(self._terminal.fd))
            elif number in {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}:
                self._stop()
            elif number == signal.SIGCONT:
                self._take_terminal()
            else:
                self._guest.send_signal(self._channel, number)

    def _stop(self) -> None:
        """Stop the command and then this process, as the shell that watches it expects."""
        if self._terminal is not None:
            self._terminal.give_back()
        self._guest.send_signal(self._channel, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._guest.send_signal(self._channel, signal.SIGCONT)
        self._take_terminal()


@contextlib.contextmanager
def _restored_signals() -> Iterator[None]:
    """Let signals reach the wake-up pipe instead of this process; put the old handlers back at the end."""
    watched = (*_FORWARDED, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
    previous = {number: signal.getsignal(number) for number in watched}
    for number in watched:
        if previous[number] is not signal.SIG_IGN or number == signal.SIGCONT:
            signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _read_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        raise RequestError("this directory was removed", where="where you are", todo="cd elsewhere") from None


def _read_umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
