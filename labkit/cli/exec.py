"""`labkit exec`: run any command inside the lab's Linux."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from labkit.cli.memory import parse_memory_mb
from labkit.errors import LabError
from labkit.guest.clock import GUEST_LIMIT_S, REAL_TIME, WALL_LIMIT_S, Timing

STATUS_LABKIT_FAILED = 125


def exec_(words: list[str]) -> None:
    """Run a command inside the lab's Linux, with this directory, environment, terminal and exit status."""
    parser = _parser()
    asked = parser.parse_args(words)
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        parser.error("a command is missing: labkit exec -- COMMAND ...")
    bounded = Timing("virtual", asked.guest_time_limit, asked.wall_time_limit)
    run_and_end(tuple(command), asked.guest, asked.memory, bounded if asked.virtual_time else REAL_TIME)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "labkit exec",
        usage="labkit exec [OPTIONS] -- COMMAND [ARGUMENT ...]",
        description=exec_.__doc__,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--guest", help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."
    )
    parser.add_argument("--memory", default="512M", help="The guest's memory. Default: %(default)s.")
    parser.add_argument(
        "--virtual-time", action="store_true",
        help="Time passes only by waiting: delays are exact, and no wait.",
    )  # fmt: skip
    for option, limit_s, seconds in (
        ("--guest-time-limit", GUEST_LIMIT_S, "seconds of guest time"),
        ("--wall-time-limit", WALL_LIMIT_S, "real seconds"),
    ):
        parser.add_argument(
            option, type=_limit_s, default=limit_s, metavar="SECONDS",
            help=f"With --virtual-time: end it after so many {seconds}. Default: {limit_s:.0f}.",
        )  # fmt: skip
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="The command and its arguments."
    )
    return parser


def _limit_s(text: str) -> float:
    seconds = float(text)
    if not seconds >= 1:
        raise argparse.ArgumentTypeError(f"{text} is less than a second")
    return seconds


def run_and_end(
    argv: tuple[str, ...], guest: str | None, memory: str, timing: Timing = REAL_TIME
) -> NoReturn:
    """Run the command in the guest and end as it ended; 125 and an error on stderr when labkit failed."""
    from labkit.guest.rerun import run_inside

    end_with(lambda: run_inside(argv, guest, parse_memory_mb(memory), timing))


def end_with(work: Callable[[], None]) -> NoReturn:
    """Do work that ends this process itself; when it fails, end with 125 and an error on stderr."""
    try:
        work()
    except LabError as error:
        sys.stderr.write("labkit: " + "\n".join(error.lines()) + "\n")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit(STATUS_LABKIT_FAILED)
