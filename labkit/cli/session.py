"""`labkit session install`: register the Jupyter kernel "Lab"."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from labkit.errors import LabError, RequestError
from labkit.session import kernelspec

app = typer.Typer(no_args_is_help=True, help="The Jupyter kernel that lives in the lab's Linux.")


@app.callback()
def _session() -> None:
    """The Jupyter kernel that lives in the lab's Linux."""


@app.command()
def install(
    *,
    sys_prefix: Annotated[bool, typer.Option("--sys-prefix", help="For this Python environment.")] = False,
    user: Annotated[bool, typer.Option("--user", help="For this user.")] = False,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Under this folder.")] = None,
) -> None:
    """Register the kernel "Lab" with Jupyter; without an option, for this Python environment."""
    if sum((sys_prefix, user, prefix is not None)) > 1:
        raise RequestError(
            "--sys-prefix, --user and --prefix exclude each other",
            where="labkit session install",
            todo="give one of them",
        )
    where = None if user else prefix or sys.prefix
    try:
        folder = kernelspec.install(user=user, prefix=where)
    except OSError as error:
        raise LabError(
            f'the kernel "{kernelspec.DISPLAY_NAME}" could not be registered: {error.strerror}',
            where=str(error.filename or where),
            todo="labkit session install --user",
        ) from error
    typer.echo(f'The Jupyter kernel "{kernelspec.DISPLAY_NAME}" is registered in {folder}')
