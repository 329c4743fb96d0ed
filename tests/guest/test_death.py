"""Whatever is killed, in whatever order: nothing is left, and whoever lives on says what happened."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from guest.launches import DEADLINE_S, LABKIT, PANIC, RUN_HOST, RUN_UML, poll, processes

NAMES = ("launcher", "keeper", "guest")
UML = (sys.executable, "-c", RUN_UML)
HOST = (sys.executable, "-c", RUN_HOST)
EXEC = (*LABKIT, "exec", "--")
ONE_OR_TWO = [*((name,) for name in NAMES), *itertools.permutations(NAMES, 2)]


@pytest.mark.parametrize("backend", [UML, HOST], ids=["uml", "host"])
@pytest.mark.parametrize("names", ONE_OR_TWO, ids="-".join)
def test_kill_leaves_nothing(launch, backend, names):
    if backend is HOST and os.geteuid() != 0:
        pytest.skip("the host backend needs root here")
    one = launch((*backend, "sh", "-c", "echo up; sleep 1000"))
    one.ready()
    assert not list(one.runtime.iterdir())
    one.kill(*names)
    one.nothing_left()
    status, _, err = one.end()
    if "launcher" in names:
        assert status == -signal.SIGKILL
    else:
        assert status == 1
        assert "the guest " in err


def test_the_guest_dies_with_a_launcher_whose_parent_was_killed(launch):
    script = f"{' '.join(EXEC)} sh -c 'echo up; sleep 1000' & wait"
    one = launch(("sh", "-c", script), start_new_session=True)
    assert one.process.stdout.readline() == b"up\n"
    table = processes()
    (launcher,) = (pid for pid, row in table.items() if row[0] == one.process.pid)
    os.killpg(one.process.pid, signal.SIGKILL)
    poll(lambda: launcher not in processes(), "the launcher gone")
    (keeper,) = (pid for pid, row in table.items() if row[0] == launcher)
    poll(
        lambda: not any(row[1] == keeper or pid == keeper for pid, row in processes().items()),
        "the keeper gone",
    )


def test_a_guest_that_panics_says_why(launch):
    one = launch((*EXEC, "sh", "-c", f"echo up; read _; {PANIC}"))
    one.ready()
    _, err = one.process.communicate(b"\n", timeout=DEADLINE_S)
    assert one.process.returncode == 125
    assert b"panic" in err
    one.nothing_left()


def test_directories_of_dead_launchers_are_swept_at_the_next_start(labkit_exec, runtime):
    with subprocess.Popen(["true"]) as dead:
        pass
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    stale = runtime / f"labkit-{os.getuid()}-{namespace}-{dead.pid}-1-abcdef"
    foreign = runtime / f"labkit-{os.getuid()}-1-{dead.pid}-1-abcdef"
    for directory in (stale, foreign):
        directory.mkdir()
    assert labkit_exec("true")[0] == 0
    assert list(runtime.iterdir()) == [foreign]
