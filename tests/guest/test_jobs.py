"""Jobs in fresh guests: replies in order, failures with their words, nothing left behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from guest.launches import PANIC, poll
from processes import descendants, wait_for_end

from labkit.errors import GuestError
from labkit.guest.clock import Timing
from labkit.guest.jobs import Job, JobPool

ROOT = Path(__file__).parents[2]
FOUR_JOBS = """
import sys
from labkit.guest.jobs import Job, JobPool
with JobPool(2) as pool:
    futures = [pool.submit(Job(str(number), ("sleep", "1000"))) for number in range(4)]
    print("submitted", flush=True)
    futures[0].result()
"""


def the_first_guest():
    for pid in sorted(descendants(os.getpid())):
        with contextlib.suppress(OSError):
            if b"rootfstype=hostfs" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def job(name, script, request=b"", **others):
    return Job(name, ("sh", "-c", script), request, guest="uml", **others)


def test_replies_come_in_the_order_of_the_jobs():
    with JobPool(2) as pool:
        replies = list(pool.map([job(str(n), f"cat; echo {n}", b"given ") for n in range(3)]))
    assert replies == [b"given 0\n", b"given 1\n", b"given 2\n"]


def test_a_request_and_a_reply_may_be_larger_than_any_buffer():
    request = os.urandom(300_000)
    with JobPool(1) as pool:
        (reply,) = pool.map([job("large", "cat; yes | head -c 900000", request)])
    assert reply == request + b"y\n" * 450_000


def test_a_job_that_fails_says_so_in_its_own_words_and_the_others_go_on():
    with JobPool(2) as pool:
        broken = pool.submit(job("broken", "echo out; echo no more luck >&2; exit 7"))
        dead = pool.submit(job("dead", "kill -SEGV $$"))
        whole = pool.submit(job("whole", "echo fine"))
        assert whole.result() == b"fine\n"
    with pytest.raises(GuestError, match=r"broken: its command exited with status 7") as raised:
        broken.result()
    assert raised.value.where == "no more luck"
    with pytest.raises(GuestError, match=r"dead: its command was killed by SIGSEGV"):
        dead.result()


def test_a_job_whose_guest_dies_reports_it_and_the_others_go_on():
    with JobPool(1) as pool:
        dying = pool.submit(job("dying", "sleep 1000"))
        whole = pool.submit(job("whole", "echo fine"))
        os.kill(poll(the_first_guest, "a guest"), signal.SIGKILL)
        assert whole.result() == b"fine\n"
    with pytest.raises(
        GuestError, match=r"^dying: the guest (ended|did not come up): it was killed by SIGKILL"
    ):
        dying.result()


def test_a_guest_that_panics_is_reported_with_its_last_words():
    with JobPool(1) as pool:
        panicking = pool.submit(job("panicking", PANIC, memory_mb=128))
        whole = pool.submit(job("whole", "echo fine"))
        assert whole.result() == b"fine\n"
    with pytest.raises(GuestError, match=r"^panicking: the guest ended: it was killed by SIGABRT") as raised:
        panicking.result()
    assert "Kernel panic - not syncing: Out of memory" in raised.value.where


def test_a_job_that_takes_too_long_is_ended():
    with JobPool(1) as pool:
        endless = pool.submit(job("endless", "sleep 1000", timing=Timing(wall_limit_s=1.0)))
        with pytest.raises(GuestError, match=r"endless: .* did not end within 1 seconds of wall time"):
            endless.result()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_pool_leaves_no_job_and_no_guest(number):
    with subprocess.Popen(
        [sys.executable, "-c", FOUR_JOBS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout.readline() == "submitted\n"
        below = set()
        while len(below) < 4:  # two hosts, each with a keeper at least
            below = set(descendants(running.pid))
        os.kill(running.pid, number)
        running.stderr.read()
    wait_for_end(below)
    assert running.returncode == -number
