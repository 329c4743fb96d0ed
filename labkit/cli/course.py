"""`labkit course release`: the lessons' sources become the notebooks that learners open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.course.lesson import lesson_sources, notebook_text

app = typer.Typer(no_args_is_help=True, help="The lessons: from their sources to notebooks.")


@app.callback()
def _course() -> None:
    """The lessons: from their sources to notebooks."""


@app.command()
def release(
    source: Annotated[Path, typer.Option(help="Where the lessons' sources are.")] = Path("notebooks/source"),
    output: Annotated[Path, typer.Option(help="Where the notebooks go.")] = Path("notebooks"),
) -> None:
    """Write a notebook, without outputs, for every lesson's source."""
    for lesson in lesson_sources(source):
        notebook = output / f"{lesson.stem}.ipynb"
        notebook.write_text(notebook_text(lesson), encoding="utf-8")
        typer.echo(str(notebook))
