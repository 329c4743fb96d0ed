"""`python -m labkit.session.grading -f CONNECTION_FILE`: the kernel `labkit-grade`, which runs submissions.

To Jupyter (nbgrader, nbclient) it is a kernel. It runs none of the notebook's code itself: ordinary cells go
to a kernel in a walled guest (`learner.py`), test cells are answered here, with a mark made in another guest
(`marks.py`). So neither the death of the notebook's kernel nor anything that it sends writes a mark.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labkit.errors import LabError
from labkit.grade.desk import read_sitting
from labkit.guest.places import choose_memory_directory, name_private_directory, sweep_dead_directories
from labkit.guest.wall import WALL_VARIABLE, landlock_missing, landlock_version
from labkit.session.bounds import CELL_LIMIT_S, LEAVING_LIMIT_S, MOST_JOB_MEMORY_MB
from labkit.session.enclosed import choose_guest
from labkit.session.front import Front
from labkit.session.launcher import PARENT_VARIABLE
from labkit.session.learner import LearnerKernel
from labkit.session.notebook import Notebook
from labkit.session.readable import plan_wall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.guest.capabilities import Linux
    from labkit.guest.wall import Wall

_PRACTICE = "labkit: without a course's secret every student gets the draws of practice"


def main() -> int:
    """Serve Jupyter until it shuts the kernel down; an error is its own lines on stderr."""
    parser = argparse.ArgumentParser(
        prog="labkit.session.grading", description="The Jupyter kernel that runs submissions."
    )
    parser.add_argument("-f", dest="connection_file", type=Path, required=True)
    parser.add_argument(
        "--unconfined", action="store_true", help="without a wall, where there is no Landlock"
    )
    parser.add_argument("--cell-limit", type=float, default=CELL_LIMIT_S, help="seconds that a cell may take")
    asked, _ = parser.parse_known_args()  # nbgrader adds options that are ipykernel's
    try:
        return _serve(asked.connection_file, asked.cell_limit, confined=not asked.unconfined)
    except LabError as error:
        sys.stderr.write("labkit: " + "\n".join(error.lines()) + "\n")
        return error.exit_status


def _serve(connection_file: Path, cell_limit_s: float, *, confined: bool) -> int:
    if confined and landlock_version() == 0:
        raise landlock_missing()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    _leave_with_parent()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Jupyter interrupts by message; a terminal means its own job
    linux, submission = choose_guest(), Path.cwd()
    key = _read_key(submission)
    with private_folders() as folders, contextlib.closing(Front(connection_file)) as front:
        walls = _plan_walls(linux, submission, folders, raised=confined)
        os.environ |= {
            WALL_VARIABLE: walls[1].to_json(),
            "LABKIT_GUEST": linux.binary,
        }  # for guests that mark
        start = partial(LearnerKernel, walls[0], linux.binary, folders[0], key)
        Notebook(front, start, key, cell_limit_s).serve()
    return 0


def _read_key(submission: Path) -> str | None:
    """Return the key of this student's draws, None outside a course root (a lesson's own tests)."""
    try:
        return read_sitting(submission).key
    except LabError:
        sys.stderr.write(_PRACTICE + "\n")
        return None


@contextlib.contextmanager
def private_folders() -> Iterator[tuple[Path, Path, Path, Path]]:
    """Make a session's folders: temporary files and memory of the notebook's guests; of marking ones."""
    environ = dict(os.environ)
    sweep_dead_directories(environ)
    memory = choose_memory_directory(MOST_JOB_MEMORY_MB, environ)
    name = name_private_directory(environ)
    roots = (name, memory / name.name) if memory != name.parent else (name, name.with_name(name.name + "0"))
    folders = (roots[0] / "notebook", roots[1] / "notebook", roots[0] / "marking", roots[1] / "marking")
    try:
        for folder in (*roots, *folders):
            folder.mkdir(mode=0o700)
        yield folders
    finally:
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)


def _plan_walls(
    linux: Linux, submission: Path, folders: tuple[Path, Path, Path, Path], *, raised: bool
) -> tuple[Wall, Wall]:
    """Return the wall of the notebook's session, and that of the guests that mark its answers."""
    closed = [Path.home(), *submission.parents[:3]]  # the student's folder, all of them, the course root
    notebook = plan_wall(linux, submission, *folders[:2], closed, raised=raised)
    marking = notebook._replace(
        readable=tuple(path for path in notebook.readable if path != str(submission)),
        writable=tuple(map(str, folders[2:])),
        memory=str(folders[3]),
    )
    return notebook, marking


def _leave(number: int, _frame: object) -> NoReturn:
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, LEAVING_LIMIT_S)  # guests end with this process, however it ends
    raise SystemExit(128 + number)


def _leave_with_parent() -> None:
    """End as SIGTERM ends this process when Jupyter, which started it, is gone: nobody reads the outputs."""
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))
    if parent <= 1:
        return
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return

    def watch() -> None:
        select.select([descriptor], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()


if __name__ == "__main__":
    sys.exit(main())
