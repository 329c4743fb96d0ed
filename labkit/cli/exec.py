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

STATUS_LABKIT_FAILED = 125


def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    guest: Annotated[
        str | None,
        typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
    ] = None,
    memory: Annotated[str, typer.Option(help="The guest's memory.")] = "512M",
) -> None:
    """Run a command inside the lab's Linux, with this directory, environment, terminal and exit status."""
    run_and_end(tuple(command), guest, memory)


def run_and_end(argv: tuple[str, ...], guest: str | None, memory: str) -> NoReturn:
    """Run the command in the guest and end as it ended; 125 and an error on stderr when labkit failed."""
    from labkit.guest.rerun import run_inside

    end_with(lambda: run_inside(argv, guest, parse_memory_mb(memory)))


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
