"""A guest's processes stay on one processor of the host, and leave it when another one idles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guest.launches import LABKIT, poll
from processes import descendants

PROCESSORS = sorted(os.sched_getaffinity(0))
COMPUTE = "print('begun', flush=True)\nwhile True: pass"


@pytest.fixture
def guest():
    """The processes of a guest, the host's, in which a program computes."""
    command = (*LABKIT, "exec", "--guest", "uml", "--", sys.executable, "-ISc", COMPUTE)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout.readline() == "begun\n"
        (keeper,) = (one for one in descendants(launcher.pid) if parent(one) == launcher.pid)
        yield descendants(keeper)
        launcher.terminate()


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def places(pids):
    """The processors that processes may run on."""
    return set().union(*(os.sched_getaffinity(pid) for pid in pids))


def test_all_of_a_guest_is_on_one_processor(guest):
    assert len(places(guest)) == 1


@pytest.mark.skipif(len(PROCESSORS) == 1, reason="there is but one processor")
def test_a_guest_that_has_to_wait_goes_to_a_processor_that_idles(guest):
    (first,) = places(guest)
    with subprocess.Popen((sys.executable, "-ISc", "while True: pass")) as rival:
        os.sched_setaffinity(rival.pid, {first})
        poll(lambda: places(guest) and first not in places(guest), "the guest leaves its processor")
        assert len(places(guest)) == 1
        rival.kill()
