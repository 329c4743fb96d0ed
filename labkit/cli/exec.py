"""`labkit exec`: run any command inside the lab's Linux."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from labkit.cli.memory import parse_memory_mb
from labkit.errors import LabError
from labkit.guest.clock import GUEST_LIMIT_S, REAL_TIME, WALL_LIMIT_S, Timing

STATUS_LABKIT_FAILED = 125


def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    guest: Annotated[
        str | None,
        typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
    ] = None,
    memory: Annotated[str, typer.Option(help="The guest's memory.")] = "512M",
    *,
    virtual_time: Annotated[
        bool,
        typer.Option("--virtual-time", help="Time passes only by waiting: delays are exact, and no wait."),
    ] = False,
    guest_time_limit: Annotated[
        float, typer.Option(help="With --virtual-time: end it after so many seconds of guest time.", min=1)
    ] = GUEST_LIMIT_S,
    wall_time_limit: Annotated[
        float, typer.Option(help="With --virtual-time: end it after so many real seconds.", min=1)
    ] = WALL_LIMIT_S,
) -> None:
    """Run a command inside the lab's Linux, with this directory, environment, terminal and exit status."""
    bounded = Timing("virtual", guest_time_limit, wall_time_limit)
    run_and_end(tuple(command), guest, memory, bounded if virtual_time else REAL_TIME)


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


if __name__ == "__main__":
    application = typer.Typer(add_completion=False)
    application.command(context_settings={"allow_interspersed_args": False})(exec_)
    application()
