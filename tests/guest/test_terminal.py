"""A real terminal around `labkit exec` and `labkit shell`: size, keys, and always given back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
from pathlib import Path

import pytest
from guest.launches import DEADLINE_S, LABKIT, PANIC

EXEC = (*LABKIT, "exec", "--")


class Session:
    """A process on a pseudo terminal of 33 rows and 99 columns."""

    def __init__(self, argv) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
            os.execv(argv[0], argv)
        self.seen = b""

    def expect(self, text):
        while text not in self.seen:
            assert select.select([self.fd], [], [], DEADLINE_S)[0], f"never saw {text!r} in {self.seen!r}"
            self.seen += os.read(self.fd, 4096)

    def press(self, keys):
        os.write(self.fd, keys)

    def attributes(self):
        return termios.tcgetattr(self.fd)

    def end(self):
        """Return the wait status and everything that was shown."""
        with contextlib.suppress(OSError):
            while select.select([self.fd], [], [], DEADLINE_S)[0]:
                piece = os.read(self.fd, 4096)
                if not piece:
                    break
                self.seen += piece
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return status, self.seen


def test_size_and_its_change_reach_the_command():
    session = Session(
        (*EXEC, "sh", "-c", "trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.1; done")
    )
    session.expect(b"33 99\r\n")
    fcntl.ioctl(session.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    status, seen = session.end()
    assert os.waitstatus_to_exitcode(status) == 3
    assert seen.endswith(b"20 60\r\n")


def test_the_terminal_is_raw_while_the_command_has_it_and_as_before_afterwards():
    session = Session(
        ("/bin/sh", "-c", f"{' '.join(EXEC)} sh -c 'echo go; read x; echo got $x'; echo over; read x")
    )
    before = session.attributes()
    session.expect(b"go\r\n")
    assert not session.attributes()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    session.press(b"hello\r")
    session.expect(b"got hello\r\nover\r\n")
    assert session.attributes() == before
    session.press(b"\r")
    session.end()


@pytest.mark.parametrize("kill", [signal.SIGTERM, None], ids=["SIGTERM", "guest dies"])
def test_the_terminal_is_given_back_when_the_command_is_killed(kill):
    session = Session(
        (
            "/bin/sh",
            "-c",
            f"{' '.join(EXEC)} sh -c 'echo $$ go; read x; {PANIC}'; echo over; read x",
        )
    )
    before = session.attributes()
    session.expect(b"go\r\n")
    if kill is None:
        session.press(b"\r")
    else:
        (launcher,) = children(session.pid)
        os.kill(launcher, kill)
    session.expect(b"over\r\n")
    assert session.attributes() == before
    session.press(b"\r")
    session.end()


def test_control_c_interrupts_the_command_and_ends_labkit_the_same_way():
    session = Session((*EXEC, "sh", "-c", "echo up; exec sleep 1000"))
    session.expect(b"up\r\n")
    session.press(b"\x03")
    status, _ = session.end()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGINT


def test_errors_in_a_pipe_stay_apart_from_the_terminal(tmp_path):
    file = tmp_path / "errors"
    script = (
        f"{' '.join(EXEC)} sh -c 'echo shown; echo kept >&2; test -t 0 && test -t 1 && ! test -t 2' 2>{file}"
    )
    session = Session(("/bin/sh", "-c", script))
    status, seen = session.end()
    assert (os.waitstatus_to_exitcode(status), seen) == (0, b"shown\r\n")
    assert file.read_text() == "kept\n"


def test_output_into_a_pipe_leaves_the_terminal_to_the_pipe_s_reader():
    session = Session(("/bin/sh", "-c", f"{' '.join(EXEC)} cat | tr a-z A-Z"))
    before = session.attributes()
    session.press(b"typed\r")
    session.expect(b"TYPED\r\n")
    assert session.attributes() == before
    session.press(b"\x04")
    status, seen = session.end()
    assert (status, seen) == (0, b"typed\r\nTYPED\r\n")


def test_control_c_reaches_a_command_whose_output_is_piped():
    script = 'trap "echo caught >&2; exit 4" INT; echo up >&2; sleep 1000 & wait'
    session = Session(("/bin/sh", "-c", f"{' '.join(EXEC)} sh -c '{script}' | cat"))
    session.expect(b"up\r\n")
    session.press(b"\x03")
    session.expect(b"caught\r\n")
    session.end()


def test_shell_is_the_user_s_shell_with_job_control(tmp_path):
    session = Session(("/usr/bin/env", "SHELL=/bin/bash", f"HOME={tmp_path}", *LABKIT, "shell"))
    session.expect(b"[lab]")
    session.press(b"sh -c 'echo beg''un; exec sleep 1000'\r")
    session.expect(b"begun")
    session.press(b"\x1a")
    session.expect(b"Stopped")
    session.press(b"exit 6\rexit 6\r")
    status, _ = session.end()
    assert os.waitstatus_to_exitcode(status) == 6


def test_stopping_the_launcher_stops_the_command_and_gives_the_terminal_back():
    session = Session(
        ("/bin/bash", "-ic", f"{' '.join(EXEC)} sh -c 'echo go; read x; echo got $x'; jobs; fg")
    )
    before = session.attributes()
    session.expect(b"go\r\n")
    (launcher,) = children(session.pid)
    os.kill(launcher, signal.SIGTSTP)
    session.expect(b"Stopped")
    session.expect(b"go\r\n")
    session.press(b"back\r")
    session.expect(b"got back")
    status, _ = session.end()
    assert os.waitstatus_to_exitcode(status) == 0
    assert before[3] & termios.ICANON


def children(parent):
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_command_that_closes_its_terminal_before_it_exits_is_not_hung_up():
    script = "cat; exec 0<&- 1>&- 2>&-; sleep 0.3; exit 5"
    piped = f"{' '.join(EXEC)} sh -c '{script}' | cat"
    session = Session(("/bin/bash", "-o", "pipefail", "-c", piped))
    session.press(b"typed\r")
    session.expect(b"typed\r\ntyped\r\n")
    session.press(b"\x04")
    status, _ = session.end()
    assert os.waitstatus_to_exitcode(status) == 5
