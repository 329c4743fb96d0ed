"""Whatever needs the lab re-runs itself inside it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from labkit.guest.capabilities import choose_linux, command_path
from labkit.guest.clock import REAL_TIME
from labkit.guest.info import current
from labkit.guest.run import DEFAULT_MEMORY_MB, Guest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.guest.clock import Timing


def rerun_inside(
    arguments: Sequence[str], guest: str | None = None, *, memory_mb: int = DEFAULT_MEMORY_MB
) -> None:
    """Return at once inside a lab's Linux; else run `labkit ARGUMENTS` inside one and end as it ended.

    Raises CapabilityError, RequestError or GuestError when no guest comes up, GuestError when it dies.
    """
    if current() is None:
        run_inside((sys.executable, "-m", "labkit", *arguments), guest, memory_mb)


def run_inside(
    argv: tuple[str, ...], guest: str | None, memory_mb: int, timing: Timing = REAL_TIME
) -> NoReturn:
    """Run a command in the lab's Linux with these files, terminal and signals, and end as it ended.

    Raises CapabilityError, RequestError or GuestError when no guest comes up, GuestError when it dies.
    """
    linux = choose_linux(guest, clock=timing.clock)
    if linux.kind == "inside":
        _replace_this_process(argv)
    with Guest.start(linux, memory_mb=memory_mb, timing=timing) as running:
        # While it boots:
        from labkit.guest.attach import AttachServer
        from labkit.guest.foreground import Command, end_like, run_in_foreground
        from labkit.guest.jobserver import JobServer

        running.come_up()
        AttachServer(running)
        JobServer(running)
        outcome = run_in_foreground(running, Command(argv))
    end_like(outcome)


def _replace_this_process(argv: tuple[str, ...]) -> NoReturn:
    from labkit.guest.foreground import Outcome, end_like

    path = command_path(os.environ.get("PATH"))
    try:
        os.execvpe(argv[0], argv, {**os.environ, "PATH": path})  # noqa: S606
    except FileNotFoundError as error:
        end_like(Outcome(failure=f"{argv[0]}: {error.strerror}", failure_status=127))
    except OSError as error:
        end_like(Outcome(failure=f"{argv[0]}: {error.strerror}", failure_status=126))
