"""PID 1 of the guest: starts processes, carries their streams, reaps every child."""

from __future__ import annotations

import _socket  # `socket` and `signal` give all numbers names, which takes longer than all the rest here
import itertools
import os

from labkit.guest.info import JOB_SOCKET
from labkit.guest.line import (
    Frame,
    FrameType,
    GuestLine,
    decode_count,
    decode_pair,
    encode_count,
    encode_failure,
)
from labkit.guest.loop import Loop
from labkit.guest.process import SpawnError, SpawnRequest, set_size, spawn
from labkit.guest.streams import END_OF_TRANSMISSION, Link, Stream, join_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from labkit.guest.clock import Standstill
    from labkit.guest.info import GuestInfo
else:
    import _signal as signal

_RETRY_S = 0.02
_FIRST_CALL = 2**31  # channels below are the host's to give


class _Process:
    """A child that the host asked for."""

    def __init__(self, channel: int, terminal: int | None, outputs: list[Stream]) -> None:
        self.channel = channel
        self.terminal = terminal
        self.outputs = outputs
        self.status: int | None = None


class Agent:
    """Serves one line until it ends or the host asks to power off."""

    def __init__(self, line_fd: int, info: GuestInfo, limit_s: float | None = None) -> None:
        """Serve the line at `line_fd`, for at most `limit_s` seconds by this Linux' own clock."""
        self._info = info
        self._limit_s = limit_s
        self._loop = Loop()
        self._standstill = _new_standstill() if info.clock == "virtual" else None
        self._link = Link(GuestLine(line_fd), self._loop)
        self._link.on_frame = self._handle
        self._link.on_end = self._stop
        self._running = True
        self._processes: dict[int, _Process] = {}
        self._pids: dict[int, int] = {}
        self._calls = itertools.count(_FIRST_CALL)

    def run(self) -> None:
        """Say hello, then serve."""
        self._watch_children()
        self._listen_for_calls()
        self._link.send(FrameType.HELLO, 0, self._info.to_bytes())
        if self._limit_s is not None:
            self._loop.after(self._limit_s, lambda: self._link.send(FrameType.OVERTIME, 0))
        while self._running:
            if self._standstill is not None and self._awaits_host():
                with self._standstill.keep():
                    self._loop.turn()
            else:
                self._loop.turn()

    def _awaits_host(self) -> bool:
        """Return whether the host is to act next: to start a process, or to take what has piled up."""
        return not self._processes or self._link.is_held_up

    def _stop(self) -> None:
        self._running = False

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.SPAWN:
            self._spawn(frame.channel, SpawnRequest.from_bytes(frame.payload))
        elif frame.type == FrameType.SIGNAL:
            self._signal(frame.channel, decode_count(frame.payload))
        elif frame.type == FrameType.SIZE:
            process = self._processes.get(frame.channel)
            if process is not None and process.terminal is not None:
                set_size(process.terminal, *decode_pair(frame.payload))
        elif frame.type == FrameType.CONNECT:
            self._connect(frame.channel, *decode_pair(frame.payload))
        elif frame.type == FrameType.POWER_OFF:
            self._stop()

    def _spawn(self, channel: int, request: SpawnRequest) -> None:
        try:
            spawned = spawn(request)
        except SpawnError as error:
            self._link.send(FrameType.FAILED, channel, encode_failure(error.status, error.message))
            return
        outputs = []
        for end in spawned.ends:
            is_terminal = end.source == end.sink
            stream = Stream(self._link, end.channel, source=end.source, sink=end.sink, owned=not is_terminal)
            if end.source is not None:
                outputs.append(stream)
            if is_terminal:
                stream.eof_byte = END_OF_TRANSMISSION
        process = _Process(channel, spawned.terminal, outputs)
        for stream in outputs:
            stream.on_sent = lambda: self._report_exit(process)
        self._processes[channel] = process
        self._pids[spawned.pid] = channel
        self._link.send(FrameType.STARTED, channel)

    def _signal(self, channel: int, number: int) -> None:
        for pid, owner in self._pids.items():
            if owner == channel:
                os.killpg(pid, number)

    def _watch_children(self) -> None:
        wake, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self._loop.on_readable(wake, lambda: self._reap(wake))

    def _reap(self, wake: int) -> None:
        os.read(wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            channel = self._pids.pop(pid, None)
            if channel is not None:
                self._end(self._processes[channel], status)

    def _end(self, process: _Process, status: int) -> None:
        process.status = status
        for stream in process.outputs:
            stream.end_when_empty()
        self._report_exit(process)

    def _report_exit(self, process: _Process) -> None:
        if process.status is None or any(stream.sending for stream in process.outputs):
            return
        if self._processes.pop(process.channel, None) is not None:
            for stream in process.outputs:
                stream.close()
            if process.terminal is not None:
                # Not before: a process that closes its files first and then exits would die of the hang-up.
                os.close(process.terminal)
            self._link.send(FrameType.EXITED, process.channel, encode_count(process.status))

    def _listen_for_calls(self) -> None:
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listener.bind(JOB_SOCKET)
        listener.listen()
        waiting = listener.detach()
        self._loop.on_readable(waiting, lambda: self._take_call(waiting))

    def _take_call(self, listener: int) -> None:
        import socket

        with socket.socket(fileno=os.dup(listener)) as waiting:
            connection, _ = waiting.accept()
        connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
        channel = next(self._calls)
        self._link.send(FrameType.CALL, channel)
        join_socket(self._link, channel, connection)

    def _connect(self, channel: int, port: int, attempts: int) -> None:
        import socket

        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.connect(("127.0.0.1", port))
        except OSError as error:
            connection.close()
            if attempts > 1:
                self._loop.after(_RETRY_S, lambda: self._connect(channel, port, attempts - 1))
            else:
                self._link.send(FrameType.REFUSED, channel, str(error).encode())
            return
        connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.send(FrameType.OPENED, channel)
        join_socket(self._link, channel, connection)


def _new_standstill() -> Standstill:
    from labkit.guest.clock import Standstill  # in real time nothing of that file is needed

    return Standstill()
