"""The user's terminal while a guest process has it: raw, and always given back as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


class Terminal:
    """The terminal on standard input, shared with the guest while this process is in the foreground."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._saved: list[int | list[bytes | int]] | None = None

    def in_foreground(self) -> bool:
        """Return whether this process group may read the terminal now."""
        try:
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal: there is no background

    def take(self) -> None:
        """Make the terminal raw: every key goes to the guest, whose own terminal interprets it."""
        if self._saved is not None or not self.in_foreground():
            return
        with contextlib.suppress(termios.error):
            saved = termios.tcgetattr(self.fd)
            raw = list(saved)
            _make_raw(raw)
            termios.tcsetattr(self.fd, termios.TCSADRAIN, raw)
            self._saved = saved

    def give_back(self) -> None:
        """Set the terminal as it was before `take`."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        # A background process may set attributes only while it ignores SIGTTOU.
        previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.fd, termios.TCSADRAIN, saved)
        signal.signal(signal.SIGTTOU, previous)


def is_terminal(fd: int) -> bool:
    """Return whether a descriptor is open and a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def read_size(fd: int) -> tuple[int, int]:
    """Return a terminal's rows and columns."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def _make_raw(attributes: list[int | list[bytes | int]]) -> None:
    clear = {
        _IFLAG: termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON
        | termios.IGNCR | termios.INLCR,
        _OFLAG: termios.OPOST,
        _CFLAG: termios.CSIZE | termios.PARENB,
        _LFLAG: termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG,
    }  # fmt: skip
    for index, bits in clear.items():
        flags = attributes[index]
        if isinstance(flags, int):
            attributes[index] = flags & ~bits
    flags = attributes[_CFLAG]
    if isinstance(flags, int):
        attributes[_CFLAG] = flags | termios.CS8
    characters = attributes[_CC]
    if isinstance(characters, list):
        characters = list(characters)
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        attributes[_CC] = characters
