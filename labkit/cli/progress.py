"""Progress in a terminal: a bar that moves; a line for each step where standard error is no terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

OnProgress = Callable[[int, int, str], None]


@contextlib.contextmanager
def progress_display(title: str) -> Iterator[OnProgress]:
    """Yield `on_progress(done, total, what)`; the display is on standard error and goes at the end."""
    if sys.stderr.isatty():
        with _bar(title) as on_progress:
            yield on_progress
    else:
        yield _lines()


@contextlib.contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=1, what="")

        def on_progress(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, what=what)

        yield on_progress


def _lines() -> OnProgress:
    said = ""

    def on_progress(done: int, total: int, what: str) -> None:
        nonlocal said
        if what != said:
            said = what
            sys.stderr.write(f"[{done}/{total}] {what}\n")

    return on_progress
