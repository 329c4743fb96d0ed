"""`labkit guest`: the lab's own Linux, built here, listed, chosen, removed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from labkit.errors import CapabilityError, GuestError, LabError, RequestError

if TYPE_CHECKING:
    from labkit_guest.build import Built

app = typer.Typer(no_args_is_help=True, help="The lab's own Linux: build, list, use, remove.")


@app.callback()
def _guest() -> None:
    """The lab's own Linux."""


@app.command()
def build(
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="The source: a tar archive, Debian package or folder. Default: the pinned one."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Compile that many files at once.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep source and objects (2 GB) afterwards.")] = False,
) -> None:
    """Build a Linux for the lab (about 5 minutes, 2 GB while it builds), boot it, and use it from now on.

    A build that was cut off goes on where it stopped.
    """
    built, work = _build(source, jobs)
    release = boot_once(built.path)
    name = put_in_place(built)
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
    for line in built.dropped:
        typer.echo(f"note: this source does not know {line}")
    typer.echo(f"{name} booted (Linux {release}) and is what the lab uses from now on")


def _build(source: Path | None, jobs: int | None) -> tuple[Built, Path]:
    from labkit.guest.info import current

    if current() is not None:
        raise RequestError("a guest is not built inside a guest", todo="run it outside")
    try:
        from labkit_guest import Problem
        from labkit_guest.build import build as build_linux
        from labkit_guest.build import work_folder
    except ImportError as error:
        raise CapabilityError(
            "labkit-guest, which knows how to build it, is not installed", todo="make setup"
        ) from error
    work = work_folder(_cache_folder() / "guest-build", source)
    try:
        with _Progress() as progress:
            return build_linux(work, source, progress, jobs=jobs), work
    except Problem as problem:
        kind = CapabilityError if problem.missing else LabError
        raise kind(problem.message, where=problem.where, todo=problem.todo) from problem
    except OSError as error:
        raise LabError(f"the build stopped: {error.strerror}", where=str(error.filename or work)) from error


@app.command("list")
def list_(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False
) -> None:
    """List the guests there are, in the order in which they are chosen, and say which is used and why."""
    from labkit.guest.candidates import list_candidates, read_selected

    candidates = list_candidates(os.environ)
    chosen = next((candidate for candidate in candidates if not candidate.problem), None)
    given = os.environ.get("LABKIT_GUEST", "")
    if as_json:
        rows = [
            {**candidate._asdict(), "chosen": candidate is chosen and not given} for candidate in candidates
        ]
        typer.echo(json.dumps({"LABKIT_GUEST": given, "guests": rows}, indent=2))
        return
    for candidate in candidates:
        mark = "*" if candidate is chosen and not given else " "
        state = candidate.problem or candidate.release or "release known when it boots"
        typer.echo(f"{mark} {candidate.name:<28} {state:<28} {candidate.binary}")
    typer.echo(_why(chosen.name if chosen else "", read_selected(os.environ), given))


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="A name from the list; auto for the best there is.")],
) -> None:
    """Choose the guest that the lab uses from now on."""
    from labkit.guest.candidates import find_candidate, write_selected

    write_selected("" if name == "auto" else find_candidate(name, os.environ).name, os.environ)
    if os.environ.get("LABKIT_GUEST"):
        typer.echo(f"note: LABKIT_GUEST={os.environ['LABKIT_GUEST']} comes before it")
    list_()


@app.command()
def remove(name: Annotated[str, typer.Argument(help="An own build's name from the list.")]) -> None:
    """Remove an own build."""
    from labkit.guest.candidates import (
        PACKAGED,
        SHIPPED,
        builds_folder,
        list_candidates,
        read_selected,
        write_selected,
    )

    if name in {SHIPPED, PACKAGED}:
        raise RequestError(
            f"{name} is not your own build", todo=f"labkit guest use: choose another than {name}"
        )
    if name not in {candidate.name for candidate in list_candidates(os.environ)}:
        raise RequestError(f"there is no own build named {name}", todo="labkit guest list")
    if read_selected(os.environ) == name:
        write_selected("", os.environ)
    shutil.rmtree(builds_folder(os.environ) / name)
    typer.echo(f"{name} is removed")


def boot_once(binary: Path) -> str:
    """Boot a Linux, ask it what it can do and return its release. Raises LabError when it will not do."""
    from labkit.cli.doctor import ask_linux, judge
    from labkit.guest.capabilities import Linux

    guest, capabilities = ask_linux(Linux("uml", "just built", str(binary)))
    problem, where, todo = judge(capabilities)
    if problem:
        raise GuestError(f"the built Linux boots, but {problem}", where=where, todo=todo)
    return str(guest["release"])


def put_in_place(built: Built) -> str:
    """Copy a build that booted into the user's data, select it and return its name."""
    from labkit.guest.candidates import BUILT, MANIFEST, builds_folder, write_selected

    name = f"{built.manifest.release}-{built.manifest.sha256[:8]}"
    folder = builds_folder(os.environ)
    partial = folder / f".{name}.{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        shutil.copy2(built.path, partial / BUILT)
        built.manifest.write(partial / MANIFEST)
        shutil.rmtree(folder / name, ignore_errors=True)
        partial.rename(folder / name)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise LabError(
            f"the built Linux could not be put in place: {error.strerror}",
            where=str(error.filename or folder),
        ) from error
    write_selected(name, os.environ)
    return name


def _why(chosen: str, selected: str, given: str) -> str:
    if given:
        return f"LABKIT_GUEST={given} is used: it comes before the list"
    if not chosen:
        return "none of them can be used"
    if chosen == selected:
        return f"{chosen} is used: you chose it (labkit guest use auto takes that back)"
    reason = (
        f"{selected}, which you chose, cannot be used" if selected else "it is the first that can be used"
    )
    return f"{chosen} is used: {reason}"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "labkit")


class _Progress:
    """A bar on a terminal, a line for each new step elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._said = ""

    def __enter__(self) -> Self:
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.console.is_terminal:
            self._bar.stop()

    def __call__(self, what: str, share: float) -> None:
        if self._bar.console.is_terminal:
            self._bar.update(self._task, description=what, completed=share)
        elif what != self._said:
            self._bar.console.print(what)
        self._said = what
