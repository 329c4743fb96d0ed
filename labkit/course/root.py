"""A course root: the folder in which an instructor collects and grades. It is made outside of the repository.

source/LESSON/LESSON.ipynb   with solutions
nbgrader_config.py           what nbgrader goes by
secret                       from which every student's draws come; nobody else's to read
submitted/STUDENT/LESSON/LESSON.ipynb   to be put there
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from typing import TYPE_CHECKING

from labkit.course.courseconfig import SHIPPED_CONFIG, require_nbgrader
from labkit.course.lesson import lesson_sources, notebook_text, plan_notebook
from labkit.errors import RequestError
from labkit.grade.desk import CONFIG_FILE, SECRET_FILE

if TYPE_CHECKING:
    from pathlib import Path

SECRET_BYTES = 32


def build_root(sources: Path, root: Path) -> list[Path]:
    """Make or renew the course root at `root`; return its lessons' notebooks.

    What an instructor may have changed or filled (configuration, secret, submissions, grades) stays. Raises
    RequestError for a root inside of a repository, CapabilityError where nbgrader is not installed.
    """
    require_nbgrader()
    _require_outside(root)
    lessons = lesson_sources(sources)
    root.mkdir(parents=True, exist_ok=True)
    _write_secret(root / SECRET_FILE)
    if not (root / CONFIG_FILE).exists():
        shutil.copyfile(SHIPPED_CONFIG, root / CONFIG_FILE)
    (root / "submitted").mkdir(exist_ok=True)
    return [_write_lesson(lesson, root) for lesson in lessons]


def find_root(start: Path) -> Path:
    """Return the course root that `start` lies in. Raises RequestError where it lies in none."""
    absolute = start.resolve()
    for folder in (absolute, *absolute.parents):
        if (folder / CONFIG_FILE).is_file() and (folder / "source").is_dir():
            return folder
    raise RequestError(
        "this is no course root, and lies in none",
        where=str(start),
        todo="make one: labkit course build --output COURSE",
    )


def lesson_names(root: Path) -> tuple[str, ...]:
    """Return the lessons of a course root, in the course's order."""
    return tuple(sorted(path.parent.name for path in root.glob("source/*/*.ipynb")))


def lesson_reference(root: Path, lesson: str) -> Path:
    """Return a lesson's notebook with solutions. Raises RequestError where the course has none such."""
    path = root / "source" / lesson / f"{lesson}.ipynb"
    if not path.is_file():
        known = ", ".join(lesson_names(root)) or "none"
        raise RequestError(f"this course has no lesson {lesson!r}", where=str(root), todo=f"it has: {known}")
    return path


def _write_lesson(lesson: Path, root: Path) -> Path:
    path = root / "source" / lesson.stem / f"{lesson.stem}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook_text(plan_notebook(lesson)), encoding="utf-8")
    return path


def _write_secret(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(SECRET_BYTES), encoding="ascii")


def _require_outside(root: Path) -> None:
    place = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    try:
        asked = subprocess.run(
            ["git", "-C", str(place), "rev-parse", "--show-toplevel"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return
    if asked.returncode == 0:
        raise RequestError(
            "a course root holds a secret and grades, and must not lie in a repository",
            where=f"{root}, in the repository {asked.stdout.strip()}",
            todo="choose a folder outside of it: labkit course build --output ~/my-course",
        )
