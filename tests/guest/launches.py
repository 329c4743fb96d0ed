"""Real guests, booted from the host. A `Launch` is one launcher with a runtime directory of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LABKIT = (sys.executable, "-m", "labkit")
# The launcher's machinery without the command line: for a plain system Python, and for the host backend.
RUN_UML = "from labkit.guest.rerun import run_inside; import sys; run_inside(tuple(sys.argv[1:]), 'uml', 512)"
RUN_HOST = """
import sys
from labkit.guest.attach import AttachServer
from labkit.guest.capabilities import Linux
from labkit.guest.foreground import Command, end_like, run_in_foreground
from labkit.guest.run import Guest
with Guest.boot(Linux("host", "")) as guest:
    AttachServer(guest)
    outcome = run_in_foreground(guest, Command(tuple(sys.argv[1:])))
end_like(outcome)
"""
# Makes any guest panic, with or without sysrq: it runs out of memory, and is told not to survive that.
PANIC = (
    "echo 2 >/proc/sys/vm/panic_on_oom; echo 1 >/proc/sys/vm/overcommit_memory; "
    f'exec {sys.executable} -ISc "bytes([1]) * 2**30"'
)
DEADLINE_S = 30


def poll(condition, what):
    """Wait for something that offers no event to wait on."""
    end = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
    return result


def processes():
    """Map pid to (parent, session, command line, environment) of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
            if fields[0] == "Z" and int(fields[1]) == os.getpid():
                continue
            found[int(entry.name)] = (int(fields[1]), int(fields[3]), (entry / "cmdline").read_bytes())
        except OSError:
            continue
    return found


class Launch:
    """A running launcher; `keeper` and `guest` are its two other processes."""

    def __init__(self, argv, runtime, **options) -> None:
        self.runtime = runtime
        env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(Path(__file__).parents[2])}
        env.update(options.pop("env", {}))
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.process = subprocess.Popen(argv, env=env, **options)

    def ready(self):
        """Wait for the command's first line, then know the processes."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        table = processes()
        (self.keeper,) = (pid for pid, (parent, _, _) in table.items() if parent == self.process.pid)
        (self.guest,) = (pid for pid, (parent, _, _) in table.items() if parent == self.keeper)
        return line

    def kill(self, *names):
        pids = {"launcher": self.process.pid, "keeper": self.keeper, "guest": self.guest}
        for name in names:
            with contextlib.suppress(ProcessLookupError):  # it may have followed the first already
                os.kill(pids[name], signal.SIGKILL)

    def nothing_left(self):
        """Wait until no process of the lab and no file of it remains."""
        sessions = {self.keeper, self.guest}

        def gone():
            table = processes()
            return not any(pid in sessions or row[1] in sessions for pid, row in table.items())

        poll(gone, f"all processes of {sessions} gone")
        poll(lambda: not list(self.runtime.glob("labkit-*")), "the private directory gone")

    def end(self):
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err.decode()
