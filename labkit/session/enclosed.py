"""The launcher of a learner's guest in a grading session: behind a wall, within bounds, and for one notebook.

`python -m labkit.session` runs it when its environment describes a wall. It puts the wall on itself when it
has its ports and before its guest boots. Nothing but the kernel's five ports leads in: nobody attaches to
such a guest, and what its processes write goes nowhere.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import CapabilityError
from labkit.guest.capabilities import choose_linux, command_path
from labkit.guest.jobserver import JobServer
from labkit.guest.process import SpawnRequest
from labkit.guest.run import Guest
from labkit.guest.wall import WALL_VARIABLE, raise_wall
from labkit.session.bounds import MOST_JOB_MEMORY_MB, MOST_JOBS
from labkit.session.inside import CONNECTION_VARIABLE
from labkit.session.launcher import Session
from labkit.session.relay import open_listeners, relay

if TYPE_CHECKING:
    from labkit.guest.capabilities import Linux
    from labkit.guest.wall import Wall
    from labkit.session.connection import Connection

# What a learner's process is told of the environment: the rest is the instructor's, tokens among it.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "LABKIT_DRAW_KEY")
_MB = 2**20


def run_enclosed(connection: Connection, wall: Wall, memory_mb: int) -> int:
    """Run a Jupyter kernel in a fresh, walled guest until it ends; return its exit status.

    Raises CapabilityError where there is no Landlock or no User-Mode Linux, GuestError when the guest dies.
    """
    linux = choose_guest()
    listeners = open_listeners(connection)
    set_bounds()
    raise_wall(wall._replace(readable=(*wall.readable, "/proc")))  # to tell its own processes from others'
    with Guest.start(linux, memory_mb=memory_mb) as guest, Path(os.devnull).open("wb") as nowhere:
        guest.come_up()
        session = Session(guest, partial(_plan_process, guest.name, connection, wall), nowhere.fileno())
        JobServer(guest, MOST_JOBS)
        relay(guest, listeners)
        return session.run()


def choose_guest() -> Linux:
    """Return the User-Mode Linux for a learner's guest. Raises CapabilityError where there is none.

    The host's own kernel will not do: behind Landlock nobody may mount, and a lab is made of mounts.
    """
    linux = choose_linux(os.environ.get("LABKIT_GUEST") or "uml")
    if linux.kind != "uml":
        raise CapabilityError(
            "a grading session needs a User-Mode Linux of its own",
            where=linux.why,
            todo="grade outside any lab, and leave LABKIT_GUEST unset or `uml`",
        )
    return linux


def set_bounds() -> None:
    """Bound what this process and its guests may use: no dumps, no file larger than a guest's memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = MOST_JOB_MEMORY_MB * _MB
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _plan_process(lab: str, connection: Connection, wall: Wall, output: int, errors: int) -> SpawnRequest:
    env = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    env |= {"PATH": command_path(env.get("PATH")), "LABKIT_LAB": lab}
    env |= {CONNECTION_VARIABLE: connection.text, WALL_VARIABLE: wall.to_json()}
    argv = (sys.executable, "-m", "labkit.session.furnished")
    return SpawnRequest(argv=argv, env=env, cwd=str(Path.cwd()), umask=0o022, pipes={1: output, 2: errors})
