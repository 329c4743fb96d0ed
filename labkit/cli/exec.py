"""`labkit exec`: run any command inside the lab's Linux."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from labkit.cli.limits import parse_limit_s
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
    end_with(lambda: _run(tuple(command), asked))


class _Help(argparse.HelpFormatter):
    """The usual help, of a width that need not be asked for: `shutil` takes time to import."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=98)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors no script takes for the command's own, as env(1)'s are."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(STATUS_LABKIT_FAILED, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "labkit exec",
        usage="labkit exec [OPTIONS] -- COMMAND [ARGUMENT ...]",
        description=exec_.__doc__,
        allow_abbrev=False,
        formatter_class=_Help,
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
            option, default=f"{limit_s:.0f}", metavar="SECONDS",
            help=f"With --virtual-time: end it after so many {seconds}. Default: %(default)s.",
        )  # fmt: skip
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="The command and its arguments."
    )
    return parser


def _run(command: tuple[str, ...], asked: argparse.Namespace) -> NoReturn:
    from labkit.guest.rerun import run_inside

    memory_mb = parse_memory_mb(asked.memory)
    bounded = Timing(
        "virtual",
        parse_limit_s(asked.guest_time_limit, "--guest-time-limit"),
        parse_limit_s(asked.wall_time_limit, "--wall-time-limit"),
    )
    run_inside(command, asked.guest, memory_mb, bounded if asked.virtual_time else REAL_TIME)


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
