"""A kernel that cannot be started in the guest: the session ends and says why."""

import subprocess
import sys

SCRIPT = """
from labkit.errors import GuestError
from labkit.guest.capabilities import choose_linux
from labkit.guest.process import SpawnRequest
from labkit.guest.run import Guest
from labkit.session.launcher import Session

with Guest.boot(choose_linux(None)) as guest:
    plan = lambda output, errors: SpawnRequest(("/nowhere/python",), {}, "/", 0o022, {1: output, 2: errors})
    try:
        Session(guest, plan).run()
    except GuestError as error:
        print(error)
"""


def test_a_kernel_that_cannot_be_started_is_named():
    # In a process of its own: a session takes the signals of the process that it runs in.
    said = subprocess.check_output((sys.executable, "-c", SCRIPT), text=True)
    assert "ipykernel did not start in the guest" in said
    assert "/nowhere/python: No such file or directory" in said
