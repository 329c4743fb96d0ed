"""The User-Mode Linuxes of this machine, best first: own builds, the shipped one, the packaged one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError, RequestError
from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

SHIPPED = "shipped"
PACKAGED = "packaged"
PACKAGED_UML = Path("/usr/bin/linux.uml")
PACKAGED_MODULES = Path("/usr/lib/uml/modules")
BUILT = "linux"
MANIFEST = "manifest.json"
_SELECTED = "selected"


class Candidate(Record):
    """A User-Mode Linux: `name` is what `labkit guest use` takes, `problem` why it cannot be used.

    `release` is empty where nobody wrote it down, `modules` where everything is built in.
    """

    name: str
    binary: str
    release: str = ""
    modules: str = ""
    problem: str = ""


def builds_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's own builds: one folder each, with the binary and its manifest."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() fails for a user without one
    return Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share", "labkit", "guest")


def list_candidates(environ: Mapping[str, str]) -> tuple[Candidate, ...]:
    """Return all there are, in the order in which they are chosen; those that cannot be used say why."""
    builds = builds_folder(environ).glob(f"[!.]*/{BUILT}")  # a dot: not in place yet
    newest_first = sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True)
    found = [*map(_own, newest_first), *_shipped(environ), *_packaged()]
    selected = read_selected(environ)
    return tuple(sorted(found, key=lambda candidate: candidate.name != selected))


def choose_candidate(environ: Mapping[str, str]) -> Candidate | None:
    """Return the first that can be used: the selected one, else in the list's order."""
    return next((candidate for candidate in list_candidates(environ) if not candidate.problem), None)


def find_candidate(name: str, environ: Mapping[str, str]) -> Candidate:
    """Return the candidate of that name; raise RequestError for none, CapabilityError for a broken one."""
    known = list_candidates(environ)
    for candidate in known:
        if candidate.name == name:
            if candidate.problem:
                raise CapabilityError(
                    f"the guest {name} cannot be used: {candidate.problem}",
                    where=candidate.binary,
                    todo="labkit guest build" if name not in {SHIPPED, PACKAGED} else "install it again",
                )
            return candidate
    raise RequestError(
        f"there is no guest named {name}",
        where=f"known: {', '.join(candidate.name for candidate in known) or 'none'}",
        todo="labkit guest list",
    )


def read_selected(environ: Mapping[str, str]) -> str:
    """Return the name that `labkit guest use` wrote down; empty when there is none."""
    try:
        return (builds_folder(environ) / _SELECTED).read_text().strip()
    except OSError:
        return ""


def write_selected(name: str, environ: Mapping[str, str]) -> None:
    """Choose that candidate from now on; an empty name gives the choice back to the order."""
    path = builds_folder(environ) / _SELECTED
    if not name:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{_SELECTED}.{os.getpid()}")
    new.write_text(name + "\n")
    new.replace(path)


def _own(binary: Path) -> Candidate:
    name = binary.parent.name
    try:
        from labkit_guest.files import is_intact
        from labkit_guest.manifest import Manifest
    except ImportError:
        return Candidate(name, str(binary), problem="labkit-guest, which checks it, is not installed")
    try:
        manifest = Manifest.read(binary.with_name(MANIFEST))
    except (OSError, ValueError, TypeError, KeyError):
        return Candidate(name, str(binary), problem="its manifest is damaged")
    intact = is_intact(binary, manifest.sha256) and os.access(binary, os.X_OK)
    return Candidate(name, str(binary), manifest.release, problem="" if intact else "it is damaged")


def _shipped(environ: Mapping[str, str]) -> tuple[Candidate, ...]:
    try:
        from labkit_guest import Problem, kernel_path, shipped
    except ImportError:
        return ()
    try:
        return (Candidate(SHIPPED, str(kernel_path(environ)), shipped().release),)
    except Problem as problem:
        return (Candidate(SHIPPED, problem.where, problem=problem.message),)


def _packaged() -> tuple[Candidate, ...]:
    binary = PACKAGED_UML
    if not os.access(binary, os.X_OK):
        import shutil

        binary = Path(shutil.which("linux.uml") or PACKAGED_UML)
    if os.access(binary, os.X_OK) and binary.is_file():
        return (Candidate(PACKAGED, str(binary), modules=modules_of(binary)),)
    return ()


def modules_of(binary: Path) -> str:
    """Return the folder of a binary's modules: `modules` beside it, else the packaged one, if any."""
    beside = binary.resolve().parent / "modules"
    modules = beside if beside.is_dir() else PACKAGED_MODULES
    return str(modules) if modules.is_dir() else ""
