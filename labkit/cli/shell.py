"""`labkit shell`: a shell inside the lab's Linux."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from labkit.cli.exec import run_and_end


def shell(
    guest: Annotated[
        str | None,
        typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
    ] = None,
    memory: Annotated[str, typer.Option(help="The guest's memory.")] = "512M",
) -> None:
    """Open a shell inside the lab's Linux; it ends with the shell's own status."""
    run_and_end((user_shell(),), guest, memory)


def user_shell() -> str:
    """Return the user's shell, or the system's where that is not installed."""
    return shutil.which(os.environ.get("SHELL") or "bash") or "/bin/sh"
